/**
 * A UML machine cold, from `start` to an agent that answers: our engine (jail, uid, cgroups, scratch disk, no network) against the
 * same kernel, initramfs and words by hand, until the first program of its guest has printed a word.
 */
import { mkdir } from 'node:fs/promises';
import { hostArchitecture, silentLog } from '#base';
import { ensureGuestOs } from '#machines';
import { openUmlEngine } from '#machines/uml';
import { awaitAgent } from './harness/machine-by-hand.ts';
import { awaitQuiet, inTurn, loadNow, median, p95, report, round, rounds } from './harness/measure.ts';
import { ownInstance } from './harness/own-instance.ts';
import { bootUmlByHand } from './harness/uml-by-hand.ts';
import { umlCommandLine, umlSpec } from './harness/uml-command-line.ts';

const [bar, mostTimesByHand] = [0.6, 1.25];

await using own = await ownInstance('bus', 196);
await mkdir(own.folder, { recursive: true });
const guestOs = await ensureGuestOs(hostArchitecture, { ...own, flavour: 'uml' });
const engine = openUmlEngine({ instance: own.instance, log: silentLog, guestOs: async () => guestOs });
let count = 0;

async function startOurs(): Promise<number> {
  const spec = umlSpec(`bench${count += 1}`);
  const began = performance.now();
  const machine = await engine.start(spec);
  try {
    await awaitAgent(await machine.openAgentLine());
    return (performance.now() - began) / 1000;
  } finally {
    await machine.kill();
    await machine.release();
    await engine.erase(spec.id);
  }
}

await engine.prove(); // it measures the kernel's delay loop, as at a daemon's start
const commandLine = await umlCommandLine(engine);
await bootUmlByHand(guestOs, commandLine, own.folder);
await awaitQuiet();
const load = loadNow();
const times = await inTurn(['ours', 'hand'], rounds(20), async (who) => (who === 'ours' ? startOurs() : bootUmlByHand(guestOs, commandLine, own.folder)));
const [ours, hand] = [median(times.ours), median(times.hand)];
report({
  bench: 'machine cold to agent, UML', unit: 's', strata: round(ours), p95: round(p95(times.ours)), rival: 'same kernel and words by hand, to its first program', rivalValue: round(hand), rivalP95: round(p95(times.hand)),
  ratio: round(ours / hand), rounds: times.ours.length, load, bar: `≤ ${bar} s, ≤ ${mostTimesByHand} ×`, met: ours <= bar && ours / hand <= mostTimesByHand,
});
