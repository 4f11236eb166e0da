/** `strata machine create` */
import { awaitMachine } from '../await-machine.ts';
import { parseDisk } from '../parse-disk.ts';
import { parseMiB } from '../parse-size.ts';
import { isText, printAnswer } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export const architectures: Readonly<Record<string, 'x86_64' | 'aarch64'>> = { x86_64: 'x86_64', amd64: 'x86_64', aarch64: 'aarch64', arm64: 'aarch64' };

export async function run({ context, args, options }: Invocation): Promise<number> {
  const architecture = architectures[options.text('arch') ?? ''];
  const processors = options.count('cpus');
  const memory = options.text('memory');
  const scratch = options.text('scratch');
  const start = !options.flag('noStart');
  const body = {
    name: args[0] as string, start, engine: (options.text('engine') ?? 'auto') as 'auto',
    ...(architecture === undefined ? {} : { architecture }), ...(processors === undefined ? {} : { processors }),
    disks: options.many('disk').map((text) => parseDisk(text, context.cwd)),
    ...(memory === undefined ? {} : { memoryMiB: parseMiB('--memory', memory) }), ...(scratch === undefined ? {} : { scratchMiB: parseMiB('--scratch', scratch) }),
  };
  const client = await context.client();
  const machine = await client.call('createMachine', { body });
  const isAwaited = start && !options.flag('detach');
  // Its name as soon as it has one; all that is said of it once it is as wished.
  if (!isAwaited || isText(options)) await printAnswer(context.out, machine, [machine.name], options);
  if (!isAwaited) return exitCodes.ok;
  const code = await awaitMachine(client, context, machine, { wanted: ['running'], timeoutSeconds: options.count('timeout') });
  if (!isText(options)) await printAnswer(context.out, await client.call('getMachine', { params: { machine: machine.id } }), [], options);
  return code;
}
