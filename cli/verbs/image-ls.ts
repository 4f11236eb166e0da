/** `strata image ls` */
import { age, bytes, lines, printList } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, options }: Invocation): Promise<number> {
  const { items } = await (await context.client()).call('listImages');
  if (options.flag('quiet')) { context.out.write(lines(items.map((image) => image.digest))); return exitCodes.ok; }
  const now = Date.now();
  await printList(context.out, items, {
    name: (image) => image.references[0] ?? image.digest,
    columns: [
      { head: 'REFERENCE', atMost: 40, value: (image) => image.references.join(', ') },
      { head: 'DIGEST', value: (image) => image.digest.slice(0, 19) },
      { head: 'ARCH', value: (image) => image.architecture },
      { head: 'SIZE', value: (image) => bytes(image.size) },
      { head: 'ORIGIN', value: (image) => image.origin },
      { head: 'AGE', value: (image) => age(image.createdAt, now) },
      { head: 'NOTE', wide: true, value: (image) => image.note },
    ],
  }, options);
  return exitCodes.ok;
}
