/**
 * A backend in memory for tests of the API and the command line: it remembers every change it was asked
 * for and does nothing. Names that begin with `refuse-` are refused, so that errors can be seen too.
 */
import { EventEmitter, on } from 'node:events';
import { StrataError } from '#base';
import { permissionsIn, type App, type Container, type DiskBackend, type Engine, type Event, type Host, type Image, type LogLine, type Machine, type Operation, type PooledMachines, type Snapshot, type Step, type TerminalSize, type Volume } from '#contract';
import type { Backend, TerminalSession } from './backend.ts';
import { preconditionFailed } from './problems.ts';

const at = '2026-01-02T03:04:05.000Z';

export interface FakeBackend extends Backend {
  /** Every call that would change something, in order. */
  readonly changes: string[];
  /** Sends an event to whoever watches. */
  emit(event: Event): void;
  /** Sizes and signals that sessions were sent. */
  readonly heard: (TerminalSize | string)[];
}

export const fakeApp: App = {
  id: 'aabcdefghij', name: 'shop', state: 'running', why: '', workingDir: '/srv/shop', files: ['/srv/shop/compose.yaml'], createdAt: at, updatedAt: at, revision: 7,
  services: ['api', 'web'].map((name) => ({
    name, state: 'running', why: '', architecture: 'x86_64', engine: 'qemu', engineWhy: 'the file asks for it', image: `shop/${name}`, replicas: { wanted: 1, running: 1, ready: 1 }, address: '10.88.1.2',
    ports: name === 'web' ? [{ host: '0.0.0.0', hostPort: 8080, containerPort: 80, protocol: 'tcp' }] : [],
  })),
  addresses: [{ service: 'web', url: 'http://127.0.0.1:8080' }],
};

export const fakeContainer = (service: string, index: number, more: Partial<Container> = {}): Container => ({
  id: `c${service}${index}`.padEnd(11, 'a'), name: `shop-${service}-${index}`, app: 'shop', service, index, machine: 'shop-x86', host: 'here', address: '10.88.0.5', phase: 'running', why: '',
  health: 'healthy', lastProbe: null, restarts: 0, exitCode: null, oomKilled: false, startedBy: { way: 'start', why: '' }, startedAt: at, finishedAt: null, image: `shop/${service}`, imageDigest: `sha256:${'0'.repeat(64)}`,
  command: ['serve'], ports: service === 'web' ? ['8080->80/tcp'] : [], architecture: 'x86_64', engine: 'qemu', engineWhy: 'the file asks for it', isolation: 'emulated', ...more,
});

const fakeEngine: Engine = {
  name: 'qemu', version: 'qemu 7.2.22', architectures: ['x86_64'], isolation: ['emulated'], proofs: [{ architecture: 'x86_64', accelerator: 'tcg', isolation: 'emulated', works: true, evidence: 'kernel answered' }, { architecture: 'x86_64', accelerator: 'kvm', isolation: 'hardware', works: false, evidence: 'no output within 5 s' }],
  figures: [{ architecture: 'x86_64', accelerator: 'tcg', stepNanos: 12.5, callNanos: 1100, forkMicros: 6000, measuredAt: at }],
  most: { disks: 255, processors: 64 }, abilities: [{ ability: 'pause', summary: 'let machines stand still', can: true, reason: '' }, { ability: 'fork', summary: 'fork machines', can: false, reason: 'it is fake' }],
};
const fakeSnapshot = (machine: string): Snapshot => ({ id: 'kaaaaaaaaaa', name: 'snap-1', machine, memory: true, disks: ['data'], createdAt: at });
export const fakeMachine = (name: string, phase: Machine['phase'] = 'running', revision = 3): Machine => ({
  id: `m${name}`.replaceAll(/[^a-z]/g, '').padEnd(11, 'a').slice(0, 11), name, host: 'here', architecture: 'x86_64', engine: 'fake', engineWhy: 'it was asked for', accelerator: 'none', isolation: 'emulated', processors: 1, memoryMiB: 256,
  address: null, disks: [], app: null, wanted: 'running', phase, why: '', guest: null, pid: null, restarts: 0, exit: null, bootMs: 12, startedBy: { way: 'cold', why: '' }, startedAt: at, createdAt: at, actions: permissionsIn(phase), revision,
});

const fakeHost: Host = {
  id: 'habcdefghij', name: 'here', architecture: 'x86_64', state: 'ready', processors: { total: 2, promised: 1, load1: 0.5 }, memory: { totalBytes: 8e9, promisedBytes: 2e9, availableBytes: 5e9 },
  disk: { path: '/', totalBytes: 1e12, availableBytes: 5e11 }, runs: [{ architecture: 'x86_64', engine: 'qemu', accelerator: 'tcg', works: true, evidence: 'kernel answered' }], kernel: '6.1', machines: 1, bootedAt: at,
};
const fakePooled: PooledMachines = { key: '0123456789ab-1024-card', engine: 'qemu', architecture: 'x86_64', accelerator: 'tcg', processors: 1, memoryMiB: 256, scratchMiB: 1024, card: true, size: 2, ready: 1, heldBytes: 40_000_000, hits: 3, misses: 1, refills: 4, refillMs: 700, why: 'one is being made' };
const fakeDiskBackend: DiskBackend = {
  id: 'mboxaaaaaaa-data', name: 'box-data', machine: 'box', disk: 'data', engine: 'qemu', kind: 'vhost-user-blk', program: '/usr/bin/qemu-storage-daemon', path: '/disks/data.raw', format: 'raw', readOnly: false,
  phase: 'running', why: '', pid: 4711, restarts: 0, startedAt: at, abilities: [{ name: 'suspend', able: false, why: 'what it has begun is not kept' }],
};
const fakeImage: Image = { digest: `sha256:${'1'.repeat(64)}`, references: ['shop/web'], architecture: 'x86_64', size: 12_345_678, origin: 'archive', note: '', createdAt: at };
const fakeVolume: Volume = { id: 'vabcdefghij', name: 'shop_data', app: 'shop', sizeBytes: 1e9, usedBytes: 1e6, usedBy: null, createdAt: at };

const step = (summary: string, status: Step['status']): Step => ({ kind: 'fake.step', subject: 'shop', summary, status, note: '', startedAt: status === 'waiting' ? null : at, finishedAt: status === 'done' ? at : null });
const operationOf = (id: string, kind: string, subject: string): Operation => ({
  id, kind, subject, status: 'running', steps: [step('make the machine', 'running'), step('start the containers', 'waiting')], progress: 0.5, result: null, error: null, warnings: [], createdAt: at, finishedAt: null,
});
const ended = (operation: Operation): Operation => ({ ...operation, status: 'succeeded', steps: operation.steps.map((one) => step(one.summary, 'done')), progress: 1, result: { digests: [fakeImage.digest] }, finishedAt: at });
const failedBy = (operation: Operation, detail: string): Operation => ({
  ...operation, status: 'failed', finishedAt: at,
  error: { type: 'urn:strata:problem:service.failed', title: '', status: 503, detail, instance: '', code: 'service.failed', advice: 'see `strata logs web`', requestId: '', errors: [], diagnostics: [] },
});

const missing = (what: string): StrataError => new StrataError(`there is no ${what}`, { code: 'fake.notFound', kind: 'notFound', advice: 'list what there is' });
const refuse = (name: string): void => {
  if (name.startsWith('refuse-')) throw new StrataError(`${name} is refused`, { code: 'fake.refused', kind: 'refused', details: { limit: 1 } });
};

export function openFakeBackend(): FakeBackend {
  const changes: string[] = [];
  const heard: (TerminalSize | string)[] = [];
  const bus = new EventEmitter();
  const operations = new Map<string, Operation>();
  const begin = (kind: string, subject: string): Operation => {
    refuse(subject);
    changes.push(`${kind} ${subject}`);
    const operation = operationOf(`o${String(operations.size).padStart(10, 'a').replace(/\d/g, (digit) => 'bcdefghijk'[Number(digit)] as string)}`, kind, subject);
    operations.set(operation.id, operation);
    return operation;
  };
  const findOperation = (id: string): Operation => {
    const found = operations.get(id);
    if (found === undefined) throw missing(`operation ${id}`);
    return found;
  };
  const app = (name: string): App => { if (name !== 'shop') throw missing(`app ${name}`); return fakeApp; };
  const change = (verb: string, name: string, ifMatch: number | undefined, phase: Machine['phase']): Machine => {
    refuse(name);
    const machine = machineNamed(name);
    if (ifMatch !== undefined && ifMatch !== machine.revision) throw preconditionFailed(`machine ${name}`, machine.revision);
    changes.push(`${verb} ${name}`);
    return { ...machine, phase, revision: machine.revision + 1 };
  };
  const containers = [fakeContainer('api', 1), fakeContainer('web', 1), fakeContainer('web', 2, { phase: 'exited', exitCode: 137, oomKilled: true, health: 'none' })];
  return {
    changes, heard, emit: (event) => { bus.emit('event', event); },
    version: async () => ({ version: '0.1.0', api: 'v1', instance: 'fake', node: process.versions.node, pid: process.pid, startedAt: at }),
    readiness: async () => ({ ready: true, checks: [] }),
    doctor: async () => [{ name: 'qemu', state: 'ok', version: '7.2', message: 'found', advice: '' }, { name: 'kvm', state: 'missing', version: '', message: 'no guest ran', advice: 'none is needed' }],
    events: async (since, signal) => {
      if (since !== undefined && since < 5) throw new StrataError('changes before revision 5 were forgotten', { code: 'store.compacted', kind: 'conflict', advice: 'list again' });
      return eventsOf(bus, signal);
    },
    hosts: { list: async () => [fakeHost], get: async (name) => { if (name !== 'here') throw missing(`host ${name}`); return fakeHost; } },
    engines: { list: async () => [fakeEngine], get: async (name) => { if (name !== 'qemu') throw missing(`engine ${name}`); return fakeEngine; } },
    machines: {
      list: async () => [fakeMachine('box')],
      pool: async () => [fakePooled],
      get: async (name) => machineNamed(name),
      create: async (wish) => { refuse(wish.name); changes.push(`create ${wish.name}`); return fakeMachine(wish.name, 'starting'); },
      remove: async (name, options) => change('remove', name, options.ifMatch, 'stopping'),
      start: async (name, options) => change('start', name, options.ifMatch, 'starting'),
      stop: async (name, options) => change('stop', name, options.ifMatch, 'stopping'),
      restart: async (name, options) => change('restart', name, options.ifMatch, 'starting'),
      pause: async (name, options) => change('pause', name, options.ifMatch, 'paused'),
      suspend: async (name, options) => change('suspend', name, options.ifMatch, 'suspended'),
      resume: async (name, options) => change('resume', name, options.ifMatch, 'running'),
      snapshots: async (name) => [fakeSnapshot(machineNamed(name).name)],
      takeSnapshot: async (name, wish) => begin('machine.snapshot', `${machineNamed(name).name}${wish.name === undefined ? '' : ` ${wish.name}`}${wish.memory ? ' with memory' : ''}`),
      restoreSnapshot: async (name, snapshot) => begin('machine.restore', `${machineNamed(name).name} ${snapshot}`),
      removeSnapshot: async (name, snapshot) => {
        if (snapshot !== 'snap-1') throw missing(`snapshot ${snapshot}`);
        changes.push(`remove snapshot ${name} ${snapshot}`);
        return fakeSnapshot(machineNamed(name).name);
      },
      clone: async (name, wish) => begin('machine.clone', `${machineNamed(name).name} ${wish.name}${wish.snapshot === undefined ? '' : ` of ${wish.snapshot}`}${wish.full ? ' full' : ''}${wish.start ? ' start' : ''}`),
      fork: async (name, clone) => begin('machine.fork', `${machineNamed(name).name} ${clone}`),
      logs: async (name) => { machineNamed(name); return from([{ text: 'booting' }, { text: 'booted' }]); },
      exec: async (name, request, session) => { machineNamed(name); return runFake(request.argv, session, heard, changes); },
      console: async (name, session) => { machineNamed(name); return consoleFake(session); },
    },
    disks: {
      grow: async (name, disk, bytes) => { changes.push(`grow ${name} ${disk} ${bytes}`); return machineNamed(name); },
      copy: async (name, disk, { snapshot }) => begin('disk.copy', `${machineNamed(name).name} ${disk}${snapshot === undefined ? '' : ` of ${snapshot}`}`),
      snapshots: async (name) => [fakeSnapshot(machineNamed(name).name)],
      takeSnapshot: async (name, disk, wished) => begin('disk.snapshot', `${machineNamed(name).name} ${disk}${wished === undefined ? '' : ` ${wished}`}`),
      restoreSnapshot: async (name, disk, snapshot) => begin('disk.restore', `${machineNamed(name).name} ${disk} ${snapshot}`),
      removeSnapshot: async (name, disk, snapshot) => begin('disk.forget', `${machineNamed(name).name} ${disk} ${snapshot}`),
      clone: async (name, disk, wish) => begin('disk.clone', `${machineNamed(name).name} ${disk} ${wish.name}${wish.snapshot === undefined ? '' : ` of ${wish.snapshot}`}${wish.full ? ' full' : ''}${wish.start ? ' start' : ''}`),
    },
    backends: {
      list: async () => [fakeDiskBackend],
      get: async (name) => backendNamed(name),
      log: async (name) => { backendNamed(name); return [{ at, text: 'it was started' }]; },
      restart: async (name) => { changes.push(`restart ${name}`); return backendNamed(name); },
    },
    images: {
      list: async () => [fakeImage],
      import: async (request) => begin('image.import', request.path),
      pull: async (request) => begin('image.pull', request.reference),
      remove: async (reference) => { if (reference !== 'shop/web') throw missing(`image ${reference}`); changes.push(`remove ${reference}`); return [fakeImage]; },
    },
    apps: {
      list: async () => [fakeApp], get: async (name) => app(name),
      resolve: async (request) => resolveFake(request.workingDir, request.projectName),
      up: async (name, request) => (request.dryRun ? ended(operationOf('odryrunaaaa', 'app.up', name)) : begin('app.up', name)),
      down: async (name) => { app(name); return begin('app.down', name); },
      start: async (name) => { app(name); return begin('app.start', name); },
      stop: async (name) => { app(name); return begin('app.stop', name); },
      restart: async (name) => { app(name); return begin('app.restart', name); },
      containers: async (name) => { app(name); return containers; },
      logs: async (name, query) => { app(name); return from(logLines(query.services).slice(query.tail === undefined ? 0 : -query.tail)); },
    },
    containers: {
      list: async () => containers,
      get: async (handle) => { const found = containers.find((one) => one.id === handle || one.name === handle); if (found === undefined) throw missing(`container ${handle}`); return found; },
      exec: async (_handle, request, session) => runFake(request.argv, session, heard, changes),
    },
    volumes: { list: async () => [fakeVolume] },
    operations: {
      list: async ({ limit }) => [...operations.values()].reverse().slice(0, limit),
      get: async (id) => ended(findOperation(id)),
      follow: async (id) => {
        const operation = findOperation(id);
        return from([operation, operation.subject === 'unhealthy' ? failedBy(operation, 'web did not become healthy: connection refused') : ended(operation)]);
      },
      cancel: async (id) => { changes.push(`cancel ${findOperation(id).subject}`); return { ...findOperation(id), status: 'cancelling' }; },
    },
  };
}

function backendNamed(name: string): DiskBackend {
  if (name === fakeDiskBackend.name) return fakeDiskBackend;
  throw missing(`backend ${name}`);
}

function machineNamed(name: string): Machine {
  if (name === 'box' || name === fakeMachine('box').id) return fakeMachine('box');
  throw missing(`machine ${name}`);
}

function resolveFake(workingDir: string, projectName: string | undefined): Awaited<ReturnType<Backend['apps']['resolve']>> {
  if (workingDir.endsWith('broken')) {
    throw new StrataError('the Compose file has 1 error', { code: 'compose.invalid', kind: 'invalid', details: { diagnostics: [{ place: { file: `${workingDir}/compose.yaml`, line: 3, column: 5 }, code: 'compose.unknownKey', message: 'unknown key imagee', advice: 'did you mean image?' }] } });
  }
  return { name: projectName ?? 'shop', services: ['api', 'web'], volumes: ['data'], images: ['shop/web'], yaml: 'name: shop\nservices:\n  web: {image: shop/web}\n', warnings: [] };
}

const logLines = (services: readonly string[]): LogLine[] => ['api', 'web'].filter((name) => services.length === 0 || services.includes(name))
  .map((service) => ({ at, service, container: `shop-${service}-1`, stream: 'stdout', text: `${service} says \u001b[31mhello\u001b[0m` }));

async function* from<T>(items: readonly T[]): AsyncGenerator<T, void, void> { yield* items; }

async function* eventsOf(bus: EventEmitter, signal: AbortSignal): AsyncGenerator<Event, void, void> {
  try { for await (const [event] of on(bus, 'event', { signal })) yield event as Event; } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Programs of the fake guest: cat, echo, fail, wait (for a signal), homeless (in no folder there is); others are missing. */
/** Echoes; what is typed ends it as little as in a real guest, unless that is `logout`. */
async function consoleFake(session: TerminalSession): Promise<void> {
  session.output.write('login: ');
  for await (const chunk of session.input) {
    session.output.write(chunk as Buffer);
    if (String(chunk).includes('logout')) return;
  }
  setTimeout(() => session.output.write('welcome\n'), 50);
  await new Promise((resolve) => { session.gone.addEventListener('abort', resolve); });
}

async function runFake(argv: readonly string[], session: TerminalSession, heard: (TerminalSize | string)[], changes: string[]): Promise<number> {
  const [program, ...args] = argv;
  changes.push(`exec ${argv.join(' ')}`);
  session.onResize((size) => heard.push(size));
  if (program === 'echo') { session.output.write(`${args.join(' ')}\n`); return 0; }
  if (program === 'fail') { session.errors.write('bad luck\n'); return Number(args[0]); }
  if (program === 'cat') { for await (const chunk of session.input) if (!session.output.write(chunk as Buffer)) await new Promise((resolve) => { session.output.once('drain', resolve); }); return 0; }
  if (program === 'wait') {
    session.output.write('waiting\n');
    return new Promise((resolve) => {
      session.onSignal((signal) => { heard.push(signal); resolve(128 + 2); });
      session.gone.addEventListener('abort', () => { heard.push('gone'); resolve(1); });
    });
  }
  if (program === 'homeless') throw new StrataError('it cannot be started in /nosuch: there is no such folder', { code: 'exec.noWorkingFolder', kind: 'refused' });
  throw new StrataError(`${program}: not found`, { code: 'exec.commandNotFound', kind: 'invalid' });
}
