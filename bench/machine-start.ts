/**
 * A machine cold under TCG, from `start` to an agent that answers: our engine (jail, uid, cgroups, scratch disk; no
 * network) against the same kernel, initramfs, kernel command line, memory and processors given to QEMU by hand, with
 * nothing but the agent's port. `docker run` of a busybox image stands beside it: containers, not machines.
 */
import { availableParallelism } from 'node:os';
import { architectures, type Architecture } from '#base';
import { openColdStarts } from './harness/cold-start.ts';
import { awaitQuiet, inTurn, loadNow, median, p95, report, round, rounds, say, seconds } from './harness/measure.ts';
import { importBusybox, openDocker } from './harness/open-docker.ts';
import { ownInstance } from './harness/own-instance.ts';

const bars: Record<Architecture, number> = { x86_64: 2.0, aarch64: 1.5 };
const mostTimesByHand = 1.1;

await using own = await ownInstance('bms', 193);
const starts = await openColdStarts(own);

async function measure(architecture: Architecture, processors: number, bar: number | undefined): Promise<void> {
  const { commandLine } = await starts.ours(architecture, processors);
  const argv = starts.handArguments(architecture, commandLine);
  await starts.hand(architecture, argv);
  await awaitQuiet();
  const load = loadNow();
  const times = await inTurn(['ours', 'hand'], rounds(20), async (who) => (await (who === 'ours' ? starts.ours(architecture, processors) : starts.hand(architecture, argv))).took);
  const [ours, hand] = [median(times.ours), median(times.hand)];
  const ratio = ours / hand;
  report({
    bench: `machine cold to agent, ${architecture}, ${processors} processor${processors === 1 ? '' : 's'} (TCG)`, unit: 's', strata: round(ours), p95: round(p95(times.ours)),
    rival: 'same kernel and init, QEMU by hand', rivalValue: round(hand), rivalP95: round(p95(times.hand)), ratio: round(ratio), rounds: times.ours.length, load,
    ...(bar === undefined ? {} : { bar: `≤ ${bar} s, ≤ ${mostTimesByHand} ×`, met: ours <= bar && ratio <= mostTimesByHand }),
  });
}

/** First output of a container of Docker, for the eye. */
async function measureDocker(): Promise<number | undefined> {
  await using docker = await openDocker();
  if (docker === undefined) {
    say('Debian\'s docker.io and docker-compose are not installed: no figure of Docker');
    return undefined;
  }
  await importBusybox(docker);
  const start = () => docker.run(['run', '--rm', 'busybox:bench', '/bin/busybox', 'echo', 'hello']);
  await start();
  const times: number[] = [];
  for (let at = 0; at < rounds(20); at += 1) times.push(await seconds(start));
  return median(times);
}

for (const architecture of architectures) await measure(architecture, 1, bars[architecture]);
// What an app's machine on this host gets: as many processors as the host has.
await measure('x86_64', availableParallelism(), undefined);
await awaitQuiet();
const docker = await measureDocker();
if (docker !== undefined) {
  report({ bench: 'a container of Docker, for comparison', unit: 's', strata: null, rival: 'docker run, bridge network, busybox', rivalValue: round(docker), rounds: rounds(20), load: loadNow(), note: 'a container shares the host\'s kernel; no bar' });
}
