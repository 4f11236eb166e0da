/**
 * A machine taken from the pool, of each engine (QEMU under TCG, UML), from `start` to an agent that answers with its own identity, against `docker
 * unpause` and `docker exec` of a paused container in turn: bare, then with card and scratch disk that the guest sees.
 */
import { mkdir } from 'node:fs/promises';
import { architectures, silentLog, systemClock, systemDice, waitUntil, type Architecture } from '#base';
import { ensureGuestOs, openMachinePool, type Engine, type MachineSpec, type RunningMachine } from '#machines';
import { openQemuEngine } from '#machines/qemu';
import { openUmlEngine } from '#machines/uml';
import { macOfAddress, openHostNetwork } from '#pool';
import { openAgentConnection } from '../src/machines/agent/open-agent-connection.ts';
import { awaitAgent } from './harness/machine-by-hand.ts';
import { awaitQuiet, inTurn, judge, loadNow, median, p95, quantile, report, round, rounds, say } from './harness/measure.ts';
import { importBusybox, openDocker, type Docker } from './harness/open-docker.ts';
import { ownInstance } from './harness/own-instance.ts';

const subnet = 193;
const memoryMiB = 256;
const perShape = 2;
const [medianBar, p99Bar] = [15, 40];

await using own = await ownInstance('bmp', subnet);
await mkdir(own.folder, { recursive: true });
const network = openHostNetwork({ instance: own.instance, log: silentLog });
const shared = { instance: own.instance, log: silentLog, network, pool: openMachinePool({ clock: systemClock, log: silentLog, perShape, delayMs: 200 }) };
const qemu = openQemuEngine({ ...shared, guestOs: (architecture) => ensureGuestOs(architecture, own), accelerator: async () => 'tcg', templates: { delayMs: 3600_000 } });
const uml = openUmlEngine({ ...shared, guestOs: (architecture) => ensureGuestOs(architecture, { ...own, flavour: 'uml' }) });
let count = 0;

/** Of one engine and architecture. */
interface Kind { readonly engine: Engine; readonly architecture: Architecture; readonly whole: boolean }

function specOf({ engine, architecture, whole }: Kind): MachineSpec {
  count += 1;
  const address = `10.${subnet}.0.${2 + (count % 250)}`;
  return {
    id: `mbench${count}`, name: `bench${count}`, architecture, engine: engine.name, processors: 1, memoryMiB, boot: { kind: 'guest-os' }, scratchMiB: whole ? 8192 : 0, disks: [],
    network: whole ? { mac: macOfAddress(address), address } : null, wanted: 'running', owner: null, createdAt: 1, generation: 1,
  };
}
const shelfOf = ({ engine, architecture, whole }: Kind) => engine.pooled?.().find((one) => one.architecture === architecture && one.card === whole);

/** Milliseconds; the pool is full when it begins, and the machine is gone when it ends. */
async function milliseconds(kind: Kind, way: 'pool' | 'any' = 'pool'): Promise<number> {
  const { engine, whole } = kind;
  if (way === 'pool') await waitUntil(() => shelfOf(kind)?.ready === perShape, { what: 'the pool is full', limitMs: 180_000, everyMs: 50 });
  const spec = specOf(kind);
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

async function measure(kind: Kind, docker: (() => Promise<number>) | undefined): Promise<void> {
  const { engine, architecture, whole } = kind;
  if (engine === qemu) await qemu.ensureTemplate(specOf(kind));
  for (let time = 0; time < perShape; time += 1) await milliseconds(kind, 'any');
  await milliseconds(kind);
  await awaitQuiet();
  const [load, before] = [loadNow(), shelfOf(kind)];
  const times = await inTurn(['pool', 'docker'], rounds(100), async (who) => (who === 'pool' ? milliseconds(kind) : docker?.() ?? 0));
  const shelf = shelfOf(kind);
  const [ours, p99, theirs] = [median(times.pool), quantile(times.pool, 0.99), docker === undefined ? null : median(times.docker)];
  report({
    bench: `a pooled machine to agent, ${architecture}, ${whole ? 'with its card and scratch disk' : 'no card, no disk'} (${engine === qemu ? 'TCG' : 'UML'})`, unit: 'ms', strata: round(ours, 1), p95: round(p95(times.pool), 1),
    rival: 'docker unpause and docker exec, busybox', rivalValue: theirs === null ? null : round(theirs, 1), ...(theirs === null ? {} : { rivalP95: round(p95(times.docker), 1), ratio: round(ours / theirs) }),
    rounds: times.pool.length, load, ...(whole ? {} : { bar: `p50 ≤ ${medianBar} ms, p99 ≤ ${p99Bar} ms, < docker unpause and exec`, ...judge(ours <= medianBar && p99 <= p99Bar, theirs === null ? undefined : ours < theirs) }),
    note: `p99 ${round(p99, 1)} ms; ${perShape} of ${memoryMiB} MiB stand ready, each holds ${round((shelf?.heldBytes ?? 0) / Math.max(1, shelf?.ready ?? 0) / 1e6, 0)} MB; one is made in ${shelf?.refillMs} ms in the background; misses ${(shelf?.misses ?? 0) - (before?.misses ?? 0)} of ${times.pool.length}`,
  });
}

await network.ensure();
try {
  await using docker = await openDocker();
  if (docker === undefined) say('Debian\'s docker.io and docker-compose are not installed: no figure of Docker');
  const paused = docker === undefined ? undefined : await pausedContainer(docker);
  await paused?.();
  const kinds = [...architectures.map((architecture) => ({ engine: qemu, architecture })), ...(await uml.capabilities()).architectures.map((architecture) => ({ engine: uml, architecture }))];
  await uml.prove(); // it measures the kernel's delay loop, as at a daemon's start
  for (const kind of kinds) for (const whole of [false, true]) await measure({ ...kind, whole }, paused);
} finally {
  await Promise.all([qemu.close(), uml.close()]);
  await qemu.dropTemplates();
  await network.erase();
}
