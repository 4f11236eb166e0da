/** `strata serve`: becomes the daemon, ends it, or writes the systemd unit that does. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { ClientProblem } from '#client';
import { stopAll } from '../clear-host.ts';
import { programArgv } from '../program-argv.ts';
import { prepareHost } from '../prepare-host.ts';
import { endResident } from '../resident/end-resident.ts';
import { stopDaemon } from '../stop-daemon.ts';
import { systemdUnit, unitName } from '../systemd-unit.ts';
import { UsageError, exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, options }: Invocation): Promise<number> {
  if (options.flag('all')) {
    if (!options.flag('stop')) throw new UsageError('--all belongs to --stop');
    context.say(await stopAll(context));
    await endResident();
    return exitCodes.ok;
  }
  if (options.flag('stop')) {
    context.say(await stopDaemon(context.places));
    await endResident();
    return exitCodes.ok;
  }
  const poolSize = options.count('pool');
  const env = poolSize === undefined ? context.env : { ...context.env, STRATA_POOL: String(poolSize) };
  const argv = programArgv('strata-daemon.ts');
  if (options.flag('printUnit') || options.flag('install')) {
    const environment = Object.fromEntries(['STRATA_INSTANCE', 'STRATA_STATE', 'STRATA_RUN', 'STRATA_CACHE', 'STRATA_SUBNET', 'STRATA_POOL', 'NODE_COMPILE_CACHE']
      .flatMap((name) => { const value = env[name]; return value === undefined ? [] : [[name, value]]; }));
    const unit = systemdUnit({ instance: context.places.instance, argv, environment });
    if (options.flag('printUnit')) { context.out.write(unit); return exitCodes.ok; }
    await prepareHost(context.interrupted);
    return install(unitName(context.places.instance), unit, (line) => context.say(line));
  }
  await prepareHost(context.interrupted);
  // The same process goes on as the daemon, so that signals and exit code are its own.
  if (process.execve === undefined) throw new ClientProblem({ code: 'client.cannotExec', detail: 'this Node cannot replace its process' });
  process.execve(process.execPath, argv, { ...process.env as Record<string, string>, ...(poolSize === undefined ? {} : { STRATA_POOL: String(poolSize) }) });
  return exitCodes.failed;
}

function install(name: string, unit: string, say: (line: string) => void): number {
  const path = `/etc/systemd/system/${name}`;
  try { writeFileSync(path, unit, { mode: 0o644 }); } catch (error) {
    throw new ClientProblem({ code: 'client.cannotInstall', detail: `${path} cannot be written: ${(error as Error).message}`, advice: 'run the command as root' }, error);
  }
  say(`wrote ${path}`);
  if (!existsSync('/run/systemd/system')) {
    say('systemd does not run on this host; the unit works once it does');
    return exitCodes.ok;
  }
  for (const args of [['daemon-reload'], ['enable', '--now', name]]) {
    const result = spawnSync('/usr/bin/systemctl', args, { stdio: ['ignore', 'inherit', 'inherit'], timeout: 120_000 });
    if (result.status !== 0) throw new ClientProblem({ code: 'client.cannotInstall', detail: `systemctl ${args.join(' ')} failed`, advice: `see \`systemctl status ${name}\`` });
  }
  say(`${name} is enabled and runs`);
  return exitCodes.ok;
}
