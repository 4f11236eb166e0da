/** `strata volume ls` */
import { bytes, printList } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, options }: Invocation): Promise<number> {
  const { items } = await (await context.client()).call('listVolumes');
  await printList(context.out, items, {
    name: (volume) => volume.name,
    columns: [
      { head: 'NAME', value: (volume) => volume.name },
      { head: 'APP', value: (volume) => volume.app },
      { head: 'SIZE', value: (volume) => bytes(volume.sizeBytes) },
      { head: 'ON DISK', value: (volume) => bytes(volume.usedBytes) },
      { head: 'USED BY', value: (volume) => volume.usedBy ?? '' },
      { head: 'ID', wide: true, value: (volume) => volume.id },
    ],
  }, options);
  return exitCodes.ok;
}
