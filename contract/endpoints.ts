/**
 * Every endpoint of the API by its operationId: method, path and kind of answer, as plain values.
 *
 * Apart from routes.ts (which adds schemas) because the command line must start in a blink: it needs to
 * know where to knock, not how to validate, and loading the schema library costs more than the request.
 */

/** `sse`: server-sent events; `lines`: one JSON value a line; `upgrade`: framed bytes (stream-frames.ts) after HTTP 101. */
export type StreamKind = 'sse' | 'lines' | 'upgrade';

export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Path with `{name}` for parameters. */
  readonly path: string;
  readonly stream?: StreamKind;
  /** Success is 202: work goes on. */
  readonly accepted?: true;
  /** Answers carry an ETag, and changes honour If-Match. */
  readonly revisioned?: true;
  /** The answer is text of this media type, not JSON. */
  readonly text?: string;
}

export const endpoints = {
  getLiveness: { method: 'GET', path: '/livez' },
  getReadiness: { method: 'GET', path: '/readyz' },
  getOpenApi: { method: 'GET', path: '/openapi.json' },
  getMetrics: { method: 'GET', path: '/metrics', text: 'text/plain; version=0.0.4; charset=utf-8' },
  getVersion: { method: 'GET', path: '/v1/version' },
  getDoctor: { method: 'GET', path: '/v1/doctor' },
  listHosts: { method: 'GET', path: '/v1/hosts' },
  getHost: { method: 'GET', path: '/v1/hosts/{host}' },
  listPool: { method: 'GET', path: '/v1/pool' },
  listEngines: { method: 'GET', path: '/v1/engines' },
  getEngine: { method: 'GET', path: '/v1/engines/{engine}' },
  listMachines: { method: 'GET', path: '/v1/machines' },
  createMachine: { method: 'POST', path: '/v1/machines', accepted: true, revisioned: true },
  getMachine: { method: 'GET', path: '/v1/machines/{machine}', revisioned: true },
  removeMachine: { method: 'DELETE', path: '/v1/machines/{machine}', accepted: true, revisioned: true },
  startMachine: { method: 'POST', path: '/v1/machines/{machine}/start', accepted: true, revisioned: true },
  stopMachine: { method: 'POST', path: '/v1/machines/{machine}/stop', accepted: true, revisioned: true },
  restartMachine: { method: 'POST', path: '/v1/machines/{machine}/restart', accepted: true, revisioned: true },
  pauseMachine: { method: 'POST', path: '/v1/machines/{machine}/pause', accepted: true, revisioned: true },
  suspendMachine: { method: 'POST', path: '/v1/machines/{machine}/suspend', accepted: true, revisioned: true },
  resumeMachine: { method: 'POST', path: '/v1/machines/{machine}/resume', accepted: true, revisioned: true },
  growDisk: { method: 'POST', path: '/v1/machines/{machine}/disks/{disk}/grow' },
  copyDisk: { method: 'POST', path: '/v1/machines/{machine}/disks/{disk}/copy', accepted: true },
  cloneDisk: { method: 'POST', path: '/v1/machines/{machine}/disks/{disk}/clone', accepted: true },
  listDiskSnapshots: { method: 'GET', path: '/v1/machines/{machine}/disks/{disk}/snapshots' },
  createDiskSnapshot: { method: 'POST', path: '/v1/machines/{machine}/disks/{disk}/snapshots', accepted: true },
  restoreDiskSnapshot: { method: 'POST', path: '/v1/machines/{machine}/disks/{disk}/snapshots/{snapshot}/restore', accepted: true },
  removeDiskSnapshot: { method: 'DELETE', path: '/v1/machines/{machine}/disks/{disk}/snapshots/{snapshot}', accepted: true },
  listSnapshots: { method: 'GET', path: '/v1/machines/{machine}/snapshots' },
  createSnapshot: { method: 'POST', path: '/v1/machines/{machine}/snapshots', accepted: true },
  restoreSnapshot: { method: 'POST', path: '/v1/machines/{machine}/snapshots/{snapshot}/restore', accepted: true },
  removeSnapshot: { method: 'DELETE', path: '/v1/machines/{machine}/snapshots/{snapshot}' },
  cloneMachine: { method: 'POST', path: '/v1/machines/{machine}/clone', accepted: true },
  forkMachine: { method: 'POST', path: '/v1/machines/{machine}/fork', accepted: true },
  getMachineLogs: { method: 'GET', path: '/v1/machines/{machine}/logs', stream: 'lines' },
  execInMachine: { method: 'GET', path: '/v1/machines/{machine}/exec', stream: 'upgrade' },
  openMachineConsole: { method: 'GET', path: '/v1/machines/{machine}/console', stream: 'upgrade' },
  listBackends: { method: 'GET', path: '/v1/backends' },
  getBackend: { method: 'GET', path: '/v1/backends/{backend}' },
  getBackendLog: { method: 'GET', path: '/v1/backends/{backend}/log' },
  restartBackend: { method: 'POST', path: '/v1/backends/{backend}/restart', accepted: true },
  listImages: { method: 'GET', path: '/v1/images' },
  importImage: { method: 'POST', path: '/v1/images/import', accepted: true },
  pullImage: { method: 'POST', path: '/v1/images/pull', accepted: true },
  removeImage: { method: 'DELETE', path: '/v1/images/{image}' },
  listApps: { method: 'GET', path: '/v1/apps' },
  resolveApp: { method: 'POST', path: '/v1/apps/config' },
  getApp: { method: 'GET', path: '/v1/apps/{app}', revisioned: true },
  putApp: { method: 'PUT', path: '/v1/apps/{app}', accepted: true },
  removeApp: { method: 'DELETE', path: '/v1/apps/{app}', accepted: true },
  startApp: { method: 'POST', path: '/v1/apps/{app}/start', accepted: true },
  stopApp: { method: 'POST', path: '/v1/apps/{app}/stop', accepted: true },
  restartApp: { method: 'POST', path: '/v1/apps/{app}/restart', accepted: true },
  listAppContainers: { method: 'GET', path: '/v1/apps/{app}/containers' },
  getAppLogs: { method: 'GET', path: '/v1/apps/{app}/logs', stream: 'lines' },
  listContainers: { method: 'GET', path: '/v1/containers' },
  getContainer: { method: 'GET', path: '/v1/containers/{container}' },
  execInContainer: { method: 'GET', path: '/v1/containers/{container}/exec', stream: 'upgrade' },
  listVolumes: { method: 'GET', path: '/v1/volumes' },
  listOperations: { method: 'GET', path: '/v1/operations' },
  getOperation: { method: 'GET', path: '/v1/operations/{operation}' },
  followOperation: { method: 'GET', path: '/v1/operations/{operation}/follow', stream: 'lines' },
  cancelOperation: { method: 'POST', path: '/v1/operations/{operation}/cancel', accepted: true },
  watchEvents: { method: 'GET', path: '/v1/events', stream: 'sse' },
} as const satisfies Record<string, Endpoint>;

export type OperationId = keyof typeof endpoints;

/** Operations whose answer is one JSON value. */
export type PlainOperationId = { [K in OperationId]: (typeof endpoints)[K] extends { readonly stream: StreamKind } ? never : K }[OperationId];
/** Operations that answer with a stream of that kind. */
export type StreamOperationId<S extends StreamKind> = { [K in OperationId]: (typeof endpoints)[K] extends { readonly stream: S } ? K : never }[OperationId];

/** The Upgrade token of exec and console streams. */
export const upgradeProtocol = 'strata-stream.v1';

/** The path with its parameters put in, each percent-encoded. @throws Error where one is missing */
export function pathOf(id: OperationId, params: Readonly<Record<string, string>> = {}): string {
  return endpoints[id].path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = params[name];
    if (value === undefined) throw new Error(`${id} wants the parameter ${name}`);
    return encodeURIComponent(value);
  });
}
