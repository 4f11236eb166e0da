/**
 * A container in a machine that runs (TCG): from its record in the store to its first line of output in the host's hands,
 * through controller and agent; against `crun run` by hand in the same guest, with what the agent gives a container and the
 * same root. Image plugged in already, no network card in the container, for both. The guest OS has no crun: this host's
 * is copied in.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { newId, runProcess, silentLog, systemClock, systemDice, waitUntil } from '#base';
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
const copyPiece = 512 * 1024;
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
  first.catch(() => undefined); // not every program prints
  await agent.call('exec', { container: '', stream: stream.id, argv, env: ['PATH=/usr/bin:/bin', 'XDG_RUNTIME_DIR=/run'], cwd: '/', user: '', tty: null, stdin: false });
  return { stream, first };
}

let handRuns = 0;
async function startByHand(agent: AgentConnection): Promise<number> {
  handRuns += 1;
  const began = performance.now();
  const { stream, first } = await inGuest(agent, ['/usr/bin/crun', '--root', '/run/crun-by-hand', 'run', '--bundle', '/run/by-hand', `hand${handRuns}`]);
  const text = await first;
  const took = (performance.now() - began) / 1000;
  if (!text.includes('hello')) throw new Error(`crun said ${text}`);
  await stream.done;
  return took;
}

/** Copies a file of this host into the guest, in the parts that the agent takes. */
async function copyIn(agent: AgentConnection, path: string): Promise<void> {
  const bytes = await readFile(path);
  await inGuest(agent, ['/bin/mkdir', '-p', dirname(path)]).then(({ stream }) => stream.done);
  for (let at = 0; at < bytes.length; at += copyPiece) {
    await agent.call('fileWrite', { container: '', path, content: bytes.subarray(at, at + copyPiece).toString('base64'), mode: 0o755, append: at > 0 });
  }
}

/** crun with the libraries it loads, as `ldd` lists them: `libyajl.so.2 => /lib/… (0x…)`, and the loader without an arrow. */
async function copyCrun(agent: AgentConnection): Promise<void> {
  const { stdout } = await runProcess(['ldd', '/usr/bin/crun']);
  const libraries = stdout.split('\n').flatMap((line) => /(?:=>\s+|^\s+)(\/\S+)/.exec(line)?.[1] ?? []);
  for (const path of ['/usr/bin/crun', ...libraries]) await copyIn(agent, path);
}

/** What the agent's own steps add up to, in the words of the runtime specification. */
async function makeBundle(agent: AgentConnection, sleeper: string): Promise<void> {
  const capabilities = ['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP', 'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'].map((name) => `CAP_${name}`);
  const mount = (destination: string, type: string, ...options: string[]) => ({ destination, type, source: type, options: ['nosuid', ...options] });
  const config = {
    ociVersion: '1.0.2',
    process: { terminal: false, user: { uid: 0, gid: 0 }, args: ['/bin/busybox', 'sh', '-c', 'echo hello'], env: ['PATH=/bin', 'HOME=/root'], cwd: '/', capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities }, noNewPrivileges: false },
    root: { path: `/run/containers/${sleeper}/rootfs`, readonly: false },
    hostname: 'bench',
    mounts: [
      mount('/proc', 'proc', 'noexec', 'nodev'), mount('/dev', 'tmpfs', 'strictatime', 'mode=755', 'size=65536k'), mount('/dev/pts', 'devpts', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'),
      mount('/dev/mqueue', 'mqueue', 'noexec', 'nodev'), mount('/dev/shm', 'tmpfs', 'noexec', 'nodev', 'mode=1777', 'size=65536k'), mount('/sys', 'sysfs', 'noexec', 'nodev', 'ro'), mount('/sys/fs/cgroup', 'cgroup', 'noexec', 'nodev', 'relatime', 'ro'),
    ],
    linux: {
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'cgroup', 'network'].map((type) => ({ type })), cgroupsPath: '/strata/by-hand', resources: { devices: [{ allow: false, access: 'rwm' }] }, sysctl: { 'net.ipv4.ip_unprivileged_port_start': '0' },
      maskedPaths: ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/sched_debug', '/proc/scsi', '/sys/firmware'], readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
  await agent.call('fileWrite', { container: '', path: '/run/by-hand/config.json', content: Buffer.from(JSON.stringify(config)).toString('base64'), mode: 0o600, append: false });
}

try {
  const agent = await startMachine();
  const [image] = await images.importArchive(await makeBusyboxLayout(own.folder), { reference: 'busybox' });
  if (image === undefined) throw new Error('no image was found in the layout');
  const sleeper = newId('container', systemDice);
  await begun(containers, sleeper, await containers.specs.put(sleeper, containerOf(image, sleeper, ['/bin/busybox', 'sleep', '100000'])));
  await inGuest(agent, ['/bin/mkdir', '-p', '/run/by-hand']).then(({ stream }) => stream.done);
  await copyCrun(agent);
  await makeBundle(agent, sleeper);
  await startOurs(image);
  await startByHand(agent);
  await awaitQuiet();
  const load = loadNow();
  const times = await inTurn(['ours', 'hand'], rounds(12), (who) => (who === 'ours' ? startOurs(image) : startByHand(agent)));
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
