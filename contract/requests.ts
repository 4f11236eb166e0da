/**
 * What goes into each operation: query, body, first frame. Apart from routes.ts (which adds what comes out)
 * because the daemon validates only this, and every schema it need not load saves memory.
 */
import { z } from 'zod';
import { appActionSchema, appLogsQuery, appPutSchema, appRemoveQuery, appResolveSchema } from './app-requests.ts';
import { backendRestartSchema } from './disk-backend.ts';
import { endpoints, type OperationId } from './endpoints.ts';
import { handleField } from './fields.ts';
import { imageImportSchema, imagePullSchema } from './image-requests.ts';
import { consoleRequestSchema, diskCloneSchema, diskCopySchema, diskGrowSchema, diskSnapshotCreateSchema, execRequestSchema, machineCloneSchema, machineCreateSchema, machineForkSchema, machineLogsQuery, machineRemoveQuery, machineStopSchema, snapshotCreateSchema } from './machine-requests.ts';
import { eventsQuery, operationListQuery } from './operation-requests.ts';

export interface RequestShape {
  readonly query?: z.ZodObject;
  readonly body?: z.ZodObject;
  /** First frame of an upgraded stream. */
  readonly start?: z.ZodObject;
}

/** Bodies that may be left out altogether. */
const empty = z.strictObject({});

const requests = {
  createMachine: { body: machineCreateSchema },
  removeMachine: { query: machineRemoveQuery },
  startMachine: { body: empty },
  stopMachine: { body: machineStopSchema },
  restartMachine: { body: machineStopSchema },
  pauseMachine: { body: empty },
  suspendMachine: { body: empty },
  resumeMachine: { body: empty },
  growDisk: { body: diskGrowSchema },
  copyDisk: { body: diskCopySchema },
  cloneDisk: { body: diskCloneSchema },
  createDiskSnapshot: { body: diskSnapshotCreateSchema },
  restoreDiskSnapshot: { body: empty },
  createSnapshot: { body: snapshotCreateSchema },
  restoreSnapshot: { body: empty },
  cloneMachine: { body: machineCloneSchema },
  forkMachine: { body: machineForkSchema },
  getMachineLogs: { query: machineLogsQuery },
  execInMachine: { start: execRequestSchema },
  openMachineConsole: { start: consoleRequestSchema },
  restartBackend: { body: backendRestartSchema },
  importImage: { body: imageImportSchema },
  pullImage: { body: imagePullSchema },
  resolveApp: { body: appResolveSchema },
  putApp: { body: appPutSchema },
  removeApp: { query: appRemoveQuery },
  startApp: { body: appActionSchema },
  stopApp: { body: appActionSchema },
  restartApp: { body: appActionSchema },
  getAppLogs: { query: appLogsQuery },
  execInContainer: { start: execRequestSchema },
  listOperations: { query: operationListQuery },
  cancelOperation: { body: empty },
  watchEvents: { query: eventsQuery },
} as const satisfies Partial<Record<OperationId, RequestShape>>;

type Requests = typeof requests;
type Of<K extends OperationId, Part extends keyof RequestShape> = K extends keyof Requests ? Requests[K] extends { readonly [P in Part]: infer S } ? S : never : never;
type Nothing = Record<string, never>;

/** Schemas of an operation's request; empty where it takes nothing. */
export const requestShape = (id: OperationId): RequestShape => (requests as Partial<Record<OperationId, RequestShape>>)[id] ?? {};

/** Validated query, body and first frame, as the server sees them. */
export type QueryOf<K extends OperationId> = Of<K, 'query'> extends z.ZodType ? z.output<Of<K, 'query'>> : Nothing;
export type BodyOf<K extends OperationId> = Of<K, 'body'> extends z.ZodType ? z.output<Of<K, 'body'>> : Nothing;
export type StartOf<K extends OperationId> = Of<K, 'start'> extends z.ZodType ? z.output<Of<K, 'start'>> : Nothing;
/** What a client may send: fields with defaults may be left out. */
export type BodyInputOf<K extends OperationId> = Of<K, 'body'> extends z.ZodType ? z.input<Of<K, 'body'>> : Nothing;
export type StartInputOf<K extends OperationId> = Of<K, 'start'> extends z.ZodType ? z.input<Of<K, 'start'>> : Nothing;

/** Names of the parameters in a path. */
export function parameterNames(id: OperationId): string[] {
  return [...endpoints[id].path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] as string);
}

/** Schema of one path parameter. */
export const parameterSchema = handleField;
