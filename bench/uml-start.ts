/**
 * A UML machine cold, from `start` to an agent that answers: our engine (jail, uid, cgroups, scratch disk, no network) against the
 * same kernel, initramfs and words by hand, until the first program of its guest has printed a word.
 */
import { mkdir } from 'node:fs/promises';
import { hostArchitecture, silentLog, systemClock, systemDice } from '#base';
import { ensureGuestOs, type MachineSpec } from '#machines';
import { openUmlEngine } from '#machines/uml';
import { openAgentConnection } from '../src/machines/agent/open-agent-connection.ts';
import { awaitAgent } from './harness/machine-by-hand.ts';
import { awaitQuiet, inTurn, loadNow, median, p95, report, round, rounds } from './harness/measure.ts';
import { ownInstance } from './harness/own-instance.ts';
import { bootUmlByHand } from './harness/uml-by-hand.ts';

const [bar, mostTimesByHand] = [0.6, 1.25];
const memoryMiB = 1024;

await using own = await ownInstance('bus', 196);
await mkdir(own.folder, { recursive: true });
const guestOs = await ensureGuestOs(hostArchitecture, { ...own, flavour: 'uml' });
const engine = openUmlEngine({ instance: own.instance, log: silentLog, guestOs: async () => guestOs });
let count = 0;

function specOf(): MachineSpec {
  count += 1;
  return {
    id: `bench${count}`, name: `bench${count}`, architecture: hostArchitecture, engine: 'uml', processors: 1, memoryMiB, boot: { kind: 'guest-os' }, scratchMiB: 8192, disks: [], network: null,
    wanted: 'running', owner: null, createdAt: 1, generation: 1,
  };
}

/** Seconds, and what the kernel was told. */
async function startOurs(): Promise<{ readonly took: number; readonly commandLine: string }> {
  const spec = specOf();
  const began = performance.now();
  const machine = await engine.start(spec);
  try {
    const line = await machine.openAgentLine();
    await awaitAgent(line);
    const took = (performance.now() - began) / 1000;
    const agent = await openAgentConnection(line, { clock: systemClock, dice: systemDice, log: silentLog, handshakeMs: 60_000 });
    const { content } = await agent.call('fileRead', { container: '', path: '/proc/cmdline', offset: 0, length: 4096 });
    return { took, commandLine: Buffer.from(content, 'base64').toString() };
  } finally {
    await machine.kill();
    await machine.release();
    await engine.erase(spec.id);
  }
}

await engine.prove(); // it measures the kernel's delay loop, as at a daemon's start
const { commandLine } = await startOurs();
await bootUmlByHand(guestOs, commandLine, own.folder);
await awaitQuiet();
const load = loadNow();
const times = await inTurn(['ours', 'hand'], rounds(20), async (who) => (who === 'ours' ? (await startOurs()).took : bootUmlByHand(guestOs, commandLine, own.folder)));
const [ours, hand] = [median(times.ours), median(times.hand)];
report({
  bench: 'machine cold to agent, UML', unit: 's', strata: round(ours), p95: round(p95(times.ours)), rival: 'same kernel and words by hand, to its first program', rivalValue: round(hand), rivalP95: round(p95(times.hand)),
  ratio: round(ours / hand), rounds: times.ours.length, load, bar: `≤ ${bar} s, ≤ ${mostTimesByHand} ×`, met: ours <= bar && ours / hand <= mostTimesByHand,
});
