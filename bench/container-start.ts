/**
 * A container in a machine that runs (TCG): from its record in the store to its first line of output in the host's hands,
 * through controller, agent and crun; against `crun run` by hand in the same guest with the same configuration and the
 * same root. Image plugged in already, no network card in the container, for both.
 */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { newId, silentLog, systemClock, systemDice, waitUntil } from '#base';
import { buildGuestSpec, openContainers, openImages, type Containers, type ContainerSpec, type Image } from '#containers';
import { ensureGuestOs, openMachines, type AgentConnection, type AgentStream } from '#machines';
import { openQemuEngine } from '#machines/qemu';
import type { HostNetwork } from '#pool';
import { runControllers } from '#reconcile';
import { openSqliteStore } from '#store/sqlite';
import { makeBusyboxLayout } from './harness/busybox-layout.ts';
import { awaitQuiet, inTurn, loadNow, median, p95, report, round, rounds } from './harness/measure.ts';
import { ownInstance } from './harness/own-instance.ts';

const [bar, mostTimesByHand] = [0.9, 1.2];
const noNetwork: HostNetwork = { ensure: async () => undefined, ensureTap: async () => '', removeTap: async () => undefined, apply: async () => undefined, erase: async () => undefined };

await using own = await ownInstance('bcs', 194);
const { instance } = own;
await mkdir(instance.stateDir, { recursive: true });
const common = { clock: systemClock, dice: systemDice, log: silentLog };
const store = await openSqliteStore({ path: join(instance.stateDir, 'store.db') });
const engines = [openQemuEngine({ instance, log: silentLog, guestOs: (architecture) => ensureGuestOs(architecture, own), accelerator: async () => 'tcg' })];
const machines = openMachines({ instance, store, engines, network: noNetwork, ...common });
const images = openImages({ instance, store, ...common });
const containers = openContainers({ instance, store, machines: machines.machines, images, ...common });
const controllers = runControllers({ controllers: [machines.controller, containers.controller], store, ...common });
const machineId = newId('machine', systemDice);

async function startMachine(): Promise<AgentConnection> {
  await machines.specs.put(machineId, {
    id: machineId, name: 'bench', architecture: 'x86_64', engine: 'qemu', processors: 2, memoryMiB: 1024, boot: { kind: 'guest-os' }, scratchMiB: 4096, disks: [], network: null,
    wanted: 'running', owner: null, createdAt: Date.now(), generation: 1,
  });
  return machines.machines.agent(machineId, { timeoutMs: 60_000 });
}

function containerOf(image: Image, id: string, argv: readonly string[]): ContainerSpec {
  const guest = buildGuestSpec({
    id, hostname: 'bench', imageDigest: image.digest, entrypoint: null, command: argv, environment: {}, workingDir: null, user: null, groupAdd: [], readOnly: false, mounts: [], limits: {}, network: null,
    dnsServers: [], searchDomain: 'bench', extraHosts: [], capAdd: [], capDrop: [], privileged: false, init: false, tty: false, stopSignal: 'SIGKILL', stopGraceMs: 1000,
    restart: { policy: 'no' }, probe: 'none', sysctls: {}, ulimits: [], shmBytes: 0,
  }, image.config, (text) => createHash('sha256').update(text).digest('hex'));
  return {
    id, name: `bench-${id}`, appId: 'bench', appName: 'bench', service: 'bench', index: 1, machineId, image: { digest: image.digest, architecture: 'x86_64', reference: 'busybox' }, volumeIds: [], address: '',
    configDigest: guest.digest, guest, wanted: 'running', draining: false, drainingSince: null, createdAt: Date.now(), generation: 1,
  };
}

function firstOutput(stream: AgentStream, limitMs = 60_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no output within ${limitMs} ms`)), limitMs);
    stream.output.once('data', (chunk: Buffer) => { clearTimeout(late); resolve(chunk.toString('utf8')); });
  });
}

/** Resolves when the status of the container says that it runs or ran. */
async function begun(of: Containers, id: string, after: number): Promise<void> {
  const stop = new AbortController();
  try {
    for await (const change of of.statuses.watch(after, stop.signal)) {
      if (change.id === id && ['running', 'exited'].includes(change.value?.phase ?? '')) return;
    }
  } finally { stop.abort(); }
}

async function startOurs(image: Image): Promise<number> {
  const id = newId('container', systemDice);
  const spec = containerOf(image, id, ['/bin/busybox', 'sh', '-c', 'echo hello; exec sleep 600']);
  const began = performance.now();
  const revision = await containers.specs.put(id, spec);
  await begun(containers, id, revision);
  const stream = await containers.logs(id, { follow: true });
  const text = await firstOutput(stream);
  const took = (performance.now() - began) / 1000;
  if (!text.includes('hello')) throw new Error(`the container said ${text}`);
  stream.close();
  await containers.specs.delete(id);
  await waitUntil(async () => await containers.statuses.get(id) === undefined, { what: 'the container is gone', limitMs: 30_000, everyMs: 20 });
  return took;
}

/** Runs a program in the guest itself. */
async function inGuest(agent: AgentConnection, argv: readonly string[]): Promise<{ readonly stream: AgentStream; readonly first: Promise<string> }> {
  const stream = agent.openStream();
  const first = firstOutput(stream);
  await agent.call('exec', { container: '', stream: stream.id, argv, env: ['PATH=/usr/bin:/bin', 'XDG_RUNTIME_DIR=/run'], cwd: '/', user: '', tty: null, stdin: false });
  return { stream, first };
}

let handRuns = 0;
async function startByHand(agent: AgentConnection, sleeper: string): Promise<number> {
  handRuns += 1;
  const began = performance.now();
  const { stream, first } = await inGuest(agent, ['/usr/bin/crun', '--root', '/run/crun-by-hand', 'run', '--config', '/run/by-hand.json', '--bundle', `/run/containers/${sleeper}`, `hand${handRuns}`]);
  const text = await first;
  const took = (performance.now() - began) / 1000;
  if (!text.includes('hello')) throw new Error(`crun said ${text}`);
  await stream.done;
  return took;
}

/** The bundle of a container that runs, with another command, a cgroup and a network namespace of its own. */
async function makeBundle(agent: AgentConnection, sleeper: string): Promise<void> {
  const { content } = await agent.call('fileRead', { container: '', path: `/run/containers/${sleeper}/config.json`, offset: 0, length: 1 << 20 });
  const config = JSON.parse(Buffer.from(content, 'base64').toString('utf8')) as { process: { args: string[] }; root: { path: string }; linux: { cgroupsPath: string; namespaces: { type: string }[] } };
  config.process.args = ['/bin/busybox', 'sh', '-c', 'echo hello'];
  config.root.path = `/run/containers/${sleeper}/rootfs`;
  config.linux.cgroupsPath = '/strata/by-hand';
  config.linux.namespaces = config.linux.namespaces.map(({ type }) => ({ type }));
  await agent.call('fileWrite', { container: '', path: '/run/by-hand.json', content: Buffer.from(JSON.stringify(config)).toString('base64'), mode: 0o600, append: false });
}

try {
  const agent = await startMachine();
  const [image] = await images.importArchive(await makeBusyboxLayout(own.folder), { reference: 'busybox' });
  if (image === undefined) throw new Error('no image was found in the layout');
  const sleeper = newId('container', systemDice);
  await begun(containers, sleeper, await containers.specs.put(sleeper, containerOf(image, sleeper, ['/bin/busybox', 'sleep', '100000'])));
  await makeBundle(agent, sleeper);
  await startOurs(image);
  await startByHand(agent, sleeper);
  await awaitQuiet();
  const load = loadNow();
  const times = await inTurn(['ours', 'hand'], rounds(12), (who) => (who === 'ours' ? startOurs(image) : startByHand(agent, sleeper)));
  const [ours, hand] = [median(times.ours), median(times.hand)];
  report({
    bench: 'container start in a running machine (TCG)', unit: 's', strata: round(ours), p95: round(p95(times.ours)), rival: 'crun run by hand in the same guest', rivalValue: round(hand), rivalP95: round(p95(times.hand)),
    ratio: round(ours / hand), bar: `≤ ${bar} s, ≤ ${mostTimesByHand} ×`, met: ours <= bar && ours / hand <= mostTimesByHand, rounds: times.ours.length, load,
  });
} finally {
  await controllers.stop();
  await machines.kill(machineId);
  containers.close();
  await machines.stop();
  await engines[0]?.erase(machineId);
  await store.close();
}
