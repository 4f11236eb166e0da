/**
 * A machine taken from the pool under TCG, from `start` to an agent that answers with its own identity, against `docker
 * unpause` and `docker exec` of a paused container in turn: bare, then with card and scratch disk that the guest sees.
 */
import { mkdir } from 'node:fs/promises';
import { architectures, silentLog, systemClock, systemDice, waitUntil, type Architecture } from '#base';
import { ensureGuestOs, type MachineSpec, type RunningMachine } from '#machines';
import { openQemuEngine } from '#machines/qemu';
import { macOfAddress, openHostNetwork } from '#pool';
import { openAgentConnection } from '../src/machines/agent/open-agent-connection.ts';
import { awaitAgent } from './harness/machine-by-hand.ts';
import { awaitQuiet, inTurn, loadNow, median, p95, quantile, report, round, rounds, say } from './harness/measure.ts';
import { importBusybox, openDocker, type Docker } from './harness/open-docker.ts';
import { ownInstance } from './harness/own-instance.ts';

const subnet = 193;
const memoryMiB = 256;
const perShape = 2;
const [medianBar, p99Bar] = [15, 40];

await using own = await ownInstance('bmp', subnet);
await mkdir(own.folder, { recursive: true });
const network = openHostNetwork({ instance: own.instance, log: silentLog });
const engine = openQemuEngine({
  instance: own.instance, log: silentLog, guestOs: (architecture) => ensureGuestOs(architecture, own), accelerator: async () => 'tcg', network,
  templates: { delayMs: 3600_000 }, pool: { perShape, delayMs: 200 },
});
let count = 0;

function specOf(architecture: Architecture, whole: boolean): MachineSpec {
  count += 1;
  const address = `10.${subnet}.0.${2 + (count % 250)}`;
  return {
    id: `mbench${count}`, name: `bench${count}`, architecture, engine: 'qemu', processors: 1, memoryMiB, boot: { kind: 'guest-os' }, scratchMiB: whole ? 8192 : 0, disks: [],
    network: whole ? { mac: macOfAddress(address), address } : null, wanted: 'running', owner: null, createdAt: 1, generation: 1,
  };
}
const shelfOf = (architecture: Architecture, whole: boolean) => engine.pooled?.().find((one) => one.architecture === architecture && one.card === whole);

/** Milliseconds; the pool is full when it begins, and the machine is gone when it ends. */
async function milliseconds(architecture: Architecture, whole: boolean, way: 'pool' | 'any' = 'pool'): Promise<number> {
  if (way === 'pool') await waitUntil(() => shelfOf(architecture, whole)?.ready === perShape, { what: 'the pool is full', limitMs: 180_000, everyMs: 50 });
  const spec = specOf(architecture, whole);
  const began = performance.now();
  const machine = await engine.start(spec);
  try {
    if (way === 'pool' && machine.startedBy?.way !== 'pool') throw new Error(`it was not taken from the pool but started by ${machine.startedBy?.way}`);
    await (whole ? untilWhole(machine, spec) : awaitAgent(await machine.openAgentLine()));
    return performance.now() - began;
  } finally {
    await machine.kill();
    await machine.release();
    await engine.erase(spec.id);
  }
}

/** At once in a pooled one; a clone's card and disk come a moment later. */
async function untilWhole(machine: RunningMachine, spec: MachineSpec): Promise<void> {
  const agent = await openAgentConnection(await machine.openAgentLine(), { clock: systemClock, dice: systemDice, log: silentLog, handshakeMs: 60_000 });
  await agent.call('awaitDisks', { serials: ['scratch'], timeoutMs: 20_000 }, { timeoutMs: 30_000 });
  const card = () => agent.call('fileRead', { container: '', path: '/sys/class/net/eth0/address', offset: 0, length: 17 }).then(({ content }) => Buffer.from(content, 'base64').toString(), () => '');
  await waitUntil(async () => (await card()) === spec.network?.mac, { what: 'the guest has its card, with its own MAC', limitMs: 20_000, everyMs: 5 });
}

/** A container that waits, paused; each round goes on with it, runs a program, and pauses it again outside of the measured time. */
async function pausedContainer(docker: Docker): Promise<() => Promise<number>> {
  await importBusybox(docker);
  await docker.run(['run', '-d', '--name', 'waits', 'busybox:bench', '/bin/busybox', 'sleep', '100000']);
  await docker.run(['pause', 'waits']);
  return async () => {
    const began = performance.now();
    await docker.run(['unpause', 'waits']);
    await docker.run(['exec', 'waits', '/bin/busybox', 'true']);
    const took = performance.now() - began;
    await docker.run(['pause', 'waits']);
    return took;
  };
}

async function measure(architecture: Architecture, whole: boolean, docker: (() => Promise<number>) | undefined): Promise<void> {
  await engine.ensureTemplate(specOf(architecture, whole));
  for (let time = 0; time < perShape; time += 1) await milliseconds(architecture, whole, 'any');
  await milliseconds(architecture, whole);
  await awaitQuiet();
  const [load, before] = [loadNow(), shelfOf(architecture, whole)];
  const times = await inTurn(['pool', 'docker'], rounds(40), async (who) => (who === 'pool' ? milliseconds(architecture, whole) : docker?.() ?? 0));
  const shelf = shelfOf(architecture, whole);
  const [ours, p99, theirs] = [median(times.pool), quantile(times.pool, 0.99), docker === undefined ? null : median(times.docker)];
  report({
    bench: `a pooled machine to agent, ${architecture}, ${whole ? 'with its card and scratch disk' : 'no card, no disk'} (TCG)`, unit: 'ms', strata: round(ours, 1), p95: round(p95(times.pool), 1),
    rival: 'docker unpause and docker exec, busybox', rivalValue: theirs === null ? null : round(theirs, 1), ...(theirs === null ? {} : { rivalP95: round(p95(times.docker), 1), ratio: round(ours / theirs) }),
    rounds: times.pool.length, load, ...(whole ? {} : { bar: `p50 ≤ ${medianBar} ms, p99 ≤ ${p99Bar} ms`, met: ours <= medianBar && p99 <= p99Bar }),
    note: `p99 ${round(p99, 1)} ms; ${perShape} of ${memoryMiB} MiB stand ready, each holds ${round((shelf?.heldBytes ?? 0) / Math.max(1, shelf?.ready ?? 0) / 1e6, 0)} MB; one is made in ${shelf?.refillMs} ms in the background; misses ${(shelf?.misses ?? 0) - (before?.misses ?? 0)} of ${times.pool.length}`,
  });
}

await network.ensure();
try {
  await using docker = await openDocker();
  if (docker === undefined) say('Debian\'s docker.io and docker-compose are not installed: no figure of Docker');
  const paused = docker === undefined ? undefined : await pausedContainer(docker);
  await paused?.();
  for (const architecture of architectures) for (const whole of [false, true]) await measure(architecture, whole, paused);
} finally {
  await engine.close();
  await engine.dropTemplates();
  await network.erase();
}
