/** `strata disk grow` */
import { parseMiB } from '../parse-size.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args }: Invocation): Promise<number> {
  const [machine, disk, size] = args as [string, string, string];
  const sizeMiB = parseMiB('the size', size);
  await (await context.client()).call('growDisk', { params: { machine, disk }, body: { sizeMiB } });
  context.out.write(`${disk}: ${sizeMiB} MiB\n`);
  return exitCodes.ok;
}
