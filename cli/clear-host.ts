/** `strata serve --stop --all`: ends what outlives the daemon too, where no machine needs it any more. */
import { spawnSync } from 'node:child_process';
import { ClientProblem } from '#client';
import type { Context } from './context.ts';
import { programArgv } from './program-argv.ts';
import { stopDaemon } from './stop-daemon.ts';

const limitMs = 120_000;
const namesTold = 8;
/** Phases in which nothing of a machine runs. */
const atRest: readonly string[] = ['defined', 'stopped', 'suspended', 'failed'];

/** Returns what to tell. @throws ClientProblem `client.machinesRun`, where nothing has been ended; `client.cannotStop` */
export async function stopAll(context: Context): Promise<string> {
  const client = await context.client();
  const running = (await client.call('listMachines')).items.filter((machine) => !atRest.includes(machine.phase));
  if (running.length > 0) {
    throw new ClientProblem({
      code: 'client.machinesRun', detail: `machines still run: ${namesOf(running)}`,
      advice: 'take their apps down first (`strata app ls`, `strata down -p APP`), and stop or remove machines of your own',
    });
  }
  await stopDaemon(context.places);
  // The lock of the daemon's start: who calls meanwhile waits, and then finds a host to begin anew on.
  const ended = spawnSync('/usr/bin/flock', ['--timeout', '30', context.places.startLock, ...programArgv('clear-host.ts')], { stdio: ['ignore', 'ignore', 'inherit'], timeout: limitMs });
  if (ended.status !== 0) throw new ClientProblem({ code: 'client.cannotStop', detail: 'the daemon has ended, but not all that goes on without it', advice: 'see the line above, and try again' });
  return `nothing of Strata runs any more; data stays in ${context.places.stateDir}. The next command starts it again`;
}

/** The first by name, and how many more. */
export function namesOf(machines: readonly { readonly name: string }[]): string {
  const names = machines.map(({ name }) => name).sort();
  return `${names.slice(0, namesTold).join(', ')}${names.length > namesTold ? ` and ${names.length - namesTold} more` : ''}`;
}
