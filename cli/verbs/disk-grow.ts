/** `strata disk grow` */
import { parseMiB } from '../parse-size.ts';
import { printAnswer } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const [machine, disk, size] = args as [string, string, string];
  const sizeMiB = parseMiB('the size', size);
  const grown = await (await context.client()).call('growDisk', { params: { machine, disk }, body: { sizeMiB } });
  await printAnswer(context.out, grown, [`${disk}: ${sizeMiB} MiB`], options);
  // What `backend describe` says of it, where it matters: the process grows the disk at once, and can tell no guest.
  const isServed = grown.disks.some((one) => one.name === disk && one.backend === 'vhost-user');
  if (isServed && !['defined', 'stopped', 'failed'].includes(grown.phase)) context.say(`${disk}: a back end serves it, so the guest sees the new size from its next start: \`strata machine restart ${grown.name}\``);
  return exitCodes.ok;
}
