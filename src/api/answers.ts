/** One line for each operation: which function of the backend answers it. */
import type { AnswerOf, BodyOf, OperationId, PlainOperationId, QueryOf, StartOf, StreamOperationId } from '#contract';
import type { Backend, TerminalSession } from './backend.ts';
import { parseSince } from './parse-since.ts';

export interface Call<K extends OperationId> {
  readonly backend: Backend;
  readonly params: Readonly<Record<string, string>>;
  readonly query: QueryOf<K>;
  readonly body: BodyOf<K>;
  /** Revision of the If-Match header. */
  readonly ifMatch: number | undefined;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly now: number;
}

type Plain = { [K in Exclude<PlainOperationId, 'getOpenApi'>]: (call: Call<K>) => Promise<AnswerOf<K>> };
type Streams = { [K in StreamOperationId<'sse' | 'lines'>]: (call: Call<K>) => Promise<AsyncIterable<AnswerOf<K>>> };
/** Resolves with the exit code for `exec`, with 0 when a console ends. */
type Upgrades = { [K in StreamOperationId<'upgrade'>]: (backend: Backend, handle: string, start: StartOf<K>, session: TerminalSession) => Promise<number> };

const items = async <T>(list: Promise<readonly T[]>): Promise<{ items: T[] }> => ({ items: [...(await list)] });
const change = (call: { readonly ifMatch: number | undefined }) => (call.ifMatch === undefined ? {} : { ifMatch: call.ifMatch });
/** The first parameter of a path. */
const handle = (call: { readonly params: Readonly<Record<string, string>> }): string => Object.values(call.params)[0] as string;
const disk = (call: { readonly params: Readonly<Record<string, string>> }): [string, string] => [call.params['machine'] as string, call.params['disk'] as string];
const snapshot = (call: { readonly params: Readonly<Record<string, string>> }): string => call.params['snapshot'] as string;

export const plainAnswers: Plain = {
  getLiveness: async () => ({ alive: true }),
  getReadiness: ({ backend }) => backend.readiness(),
  getMetrics: async ({ backend }) => (await import('./metrics/render-metrics.ts')).renderMetrics(backend),
  getVersion: ({ backend }) => backend.version(),
  getDoctor: ({ backend }) => items(backend.doctor()),
  listHosts: ({ backend }) => items(backend.hosts.list()),
  getHost: (call) => call.backend.hosts.get(handle(call)),
  listPool: ({ backend }) => items(backend.machines.pool()),
  listEngines: ({ backend }) => items(backend.engines.list()),
  getEngine: (call) => call.backend.engines.get(handle(call)),
  listMachines: ({ backend }) => items(backend.machines.list()),
  createMachine: ({ backend, body }) => backend.machines.create(body),
  getMachine: (call) => call.backend.machines.get(handle(call)),
  removeMachine: (call) => call.backend.machines.remove(handle(call), { ...change(call), force: call.query.force ?? false }),
  startMachine: (call) => call.backend.machines.start(handle(call), change(call)),
  stopMachine: (call) => call.backend.machines.stop(handle(call), { ...change(call), force: call.body.force }),
  pauseMachine: (call) => call.backend.machines.pause(handle(call), change(call)),
  suspendMachine: (call) => call.backend.machines.suspend(handle(call), change(call)),
  resumeMachine: (call) => call.backend.machines.resume(handle(call), change(call)),
  restartMachine: (call) => call.backend.machines.restart(handle(call), { ...change(call), force: call.body.force }),
  growDisk: (call) => call.backend.disks.grow(...disk(call), call.body.sizeMiB * 1024 * 1024),
  copyDisk: (call) => call.backend.disks.copy(...disk(call), call.body),
  cloneDisk: (call) => call.backend.disks.clone(...disk(call), call.body),
  listDiskSnapshots: (call) => items(call.backend.disks.snapshots(...disk(call))),
  createDiskSnapshot: (call) => call.backend.disks.takeSnapshot(...disk(call), call.body.name),
  restoreDiskSnapshot: (call) => call.backend.disks.restoreSnapshot(...disk(call), snapshot(call)),
  removeDiskSnapshot: (call) => call.backend.disks.removeSnapshot(...disk(call), snapshot(call)),
  listBackends: ({ backend }) => items(backend.backends.list()),
  getBackend: (call) => call.backend.backends.get(handle(call)),
  getBackendLog: (call) => items(call.backend.backends.log(handle(call))),
  restartBackend: (call) => call.backend.backends.restart(handle(call), call.body),
  listSnapshots: (call) => items(call.backend.machines.snapshots(handle(call))),
  createSnapshot: (call) => call.backend.machines.takeSnapshot(handle(call), call.body),
  restoreSnapshot: (call) => call.backend.machines.restoreSnapshot(handle(call), snapshot(call)),
  removeSnapshot: (call) => call.backend.machines.removeSnapshot(handle(call), snapshot(call)),
  cloneMachine: (call) => call.backend.machines.clone(handle(call), call.body),
  forkMachine: (call) => call.backend.machines.fork(handle(call), call.body.name),
  listImages: ({ backend }) => items(backend.images.list()),
  importImage: ({ backend, body }) => backend.images.import(body),
  pullImage: ({ backend, body }) => backend.images.pull(body),
  removeImage: (call) => items(call.backend.images.remove(handle(call))),
  listApps: ({ backend }) => items(backend.apps.list()),
  resolveApp: ({ backend, body }) => backend.apps.resolve(body),
  getApp: (call) => call.backend.apps.get(handle(call)),
  putApp: (call) => call.backend.apps.up(handle(call), call.body),
  removeApp: (call) => call.backend.apps.down(handle(call), { volumes: call.query.volumes ?? false, timeoutSeconds: call.query.timeout }),
  startApp: (call) => call.backend.apps.start(handle(call), call.body),
  stopApp: (call) => call.backend.apps.stop(handle(call), call.body),
  restartApp: (call) => call.backend.apps.restart(handle(call), call.body),
  listAppContainers: (call) => items(call.backend.apps.containers(handle(call))),
  listContainers: ({ backend }) => items(backend.containers.list()),
  getContainer: (call) => call.backend.containers.get(handle(call)),
  listVolumes: ({ backend }) => items(backend.volumes.list()),
  listOperations: ({ backend, query }) => items(backend.operations.list({ subject: query.subject, limit: query.limit })),
  getOperation: (call) => call.backend.operations.get(handle(call)),
  cancelOperation: (call) => call.backend.operations.cancel(handle(call)),
};

export const streamAnswers: Streams = {
  watchEvents: ({ backend, query, signal }) => backend.events(query.since, signal),
  followOperation: (call) => call.backend.operations.follow(handle(call), call.signal),
  getMachineLogs: (call) => call.backend.machines.logs(handle(call), { follow: call.query.follow ?? false, tail: call.query.tail }, call.signal),
  getAppLogs: (call) => call.backend.apps.logs(handle(call), {
    services: call.query.service ?? [],
    tail: call.query.tail,
    sinceMs: call.query.since === undefined ? undefined : parseSince(call.query.since, call.now),
    follow: call.query.follow ?? false,
  }, call.signal),
};

export const upgradeAnswers: Upgrades = {
  execInMachine: (backend, machine, start, session) => backend.machines.exec(machine, start, session),
  execInContainer: (backend, container, start, session) => backend.containers.exec(container, start, session),
  openMachineConsole: async (backend, machine, _start, session) => { await backend.machines.console(machine, session); return 0; },
};
