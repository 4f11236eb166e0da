/** `strata version`: of the command, and of the daemon where one answers; starts none. */
import { ClientProblem } from '#client';
import type { Version } from '#client';
import { printValue } from '../print-list.ts';
import { programVersion } from '../program-version.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, options }: Invocation): Promise<number> {
  const client = { version: programVersion(), node: process.versions.node };
  const daemon = await (async (): Promise<Version | null> => {
    try { return await (await context.client({ start: false })).call('getVersion'); } catch (error) {
      if (error instanceof ClientProblem && error.code === 'client.unreachable') return null;
      throw error;
    }
  })();
  const format = options.text('output') ?? 'text';
  if (format !== 'text') await printValue(context.out, { client, daemon }, format);
  else {
    context.out.write(`strata ${client.version} (node ${client.node})\n`);
    context.out.write(daemon === null ? 'daemon: not running\n' : `daemon ${daemon.version} (node ${daemon.node}, pid ${daemon.pid}, instance ${daemon.instance}, since ${daemon.startedAt})\n`);
  }
  return exitCodes.ok;
}
