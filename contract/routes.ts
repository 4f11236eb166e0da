/**
 * The API as values: each endpoint with the schemas of what goes in and what comes out.
 *
 * The server routes and validates by this table, the OpenAPI document is made from it, and the client's
 * types are read off it. Nothing else describes the API.
 */
import { z } from 'zod';
import * as app from './app.ts';
import { endpoints, type OperationId } from './endpoints.ts';
import { handleField } from './fields.ts';
import * as host from './host.ts';
import * as image from './image.ts';
import * as machine from './machine.ts';
import * as operation from './operation.ts';

export const tags = ['daemon', 'hosts', 'machines', 'images', 'apps', 'containers', 'volumes', 'operations'] as const;

export interface Shape {
  readonly tag: (typeof tags)[number];
  readonly summary: string;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodObject;
  /** Status of success; 200 unless said. */
  readonly status?: 200 | 202;
  /** The one JSON answer, or one item of a stream. */
  readonly answer?: z.ZodType;
  /** First frame of an upgraded stream. */
  readonly start?: z.ZodObject;
  /** Answers carry an ETag, and If-Match is honoured. */
  readonly revisioned?: true;
}

/** Bodies that may be left out altogether. */
const empty = z.strictObject({});

export const shapes = {
  getLiveness: { tag: 'daemon', summary: 'Whether the daemon answers at all', answer: host.livenessSchema },
  getReadiness: { tag: 'daemon', summary: 'Whether the daemon can do its work; 503 until then', answer: host.readinessSchema },
  getOpenApi: { tag: 'daemon', summary: 'This document', answer: z.record(z.string(), z.unknown()) },
  getVersion: { tag: 'daemon', summary: 'Version, instance and process of the daemon', answer: host.versionSchema },
  getDoctor: { tag: 'daemon', summary: 'What the host has, lacks and has proved', answer: host.doctorListSchema },
  listHosts: { tag: 'hosts', summary: 'All hosts of the pool', answer: host.hostListSchema },
  getHost: { tag: 'hosts', summary: 'One host by name or id', answer: host.hostSchema },
  listMachines: { tag: 'machines', summary: 'All machines', answer: machine.machineListSchema },
  createMachine: { tag: 'machines', summary: 'Make a machine that carries containers or a shell', body: machine.machineCreateSchema, status: 202, answer: machine.machineSchema, revisioned: true },
  getMachine: { tag: 'machines', summary: 'One machine by name or id', answer: machine.machineSchema, revisioned: true },
  removeMachine: { tag: 'machines', summary: 'Remove a machine and its disks', query: machine.machineRemoveQuery, status: 202, answer: machine.machineSchema, revisioned: true },
  startMachine: { tag: 'machines', summary: 'Wish a machine running', body: empty, status: 202, answer: machine.machineSchema, revisioned: true },
  stopMachine: { tag: 'machines', summary: 'Wish a machine stopped', body: machine.machineStopSchema, status: 202, answer: machine.machineSchema, revisioned: true },
  restartMachine: { tag: 'machines', summary: 'Restart a machine once', body: machine.machineStopSchema, status: 202, answer: machine.machineSchema, revisioned: true },
  getMachineLogs: { tag: 'machines', summary: 'What its serial console printed last', query: machine.machineLogsQuery, answer: machine.consoleLineSchema },
  execInMachine: { tag: 'machines', summary: 'Run a program in the guest', start: machine.execRequestSchema },
  openMachineConsole: { tag: 'machines', summary: 'The serial console, both ways', start: machine.consoleRequestSchema },
  listImages: { tag: 'images', summary: 'All images kept here', answer: image.imageListSchema },
  importImage: { tag: 'images', summary: 'Import an image archive or OCI layout', body: image.imageImportSchema, status: 202, answer: operation.operationSchema },
  pullImage: { tag: 'images', summary: 'Pull an image from a registry', body: image.imagePullSchema, status: 202, answer: operation.operationSchema },
  removeImage: { tag: 'images', summary: 'Remove an image that nothing uses', answer: image.imageListSchema },
  listApps: { tag: 'apps', summary: 'All apps', answer: app.appListSchema },
  resolveApp: { tag: 'apps', summary: 'Read Compose files and show the resolved project; changes nothing', body: app.appResolveSchema, answer: app.resolvedAppSchema },
  getApp: { tag: 'apps', summary: 'One app by name', answer: app.appSchema, revisioned: true },
  putApp: { tag: 'apps', summary: 'Bring an app up as its Compose files say', body: app.appPutSchema, status: 202, answer: operation.operationSchema },
  removeApp: { tag: 'apps', summary: 'Take an app down', query: app.appRemoveQuery, status: 202, answer: operation.operationSchema },
  startApp: { tag: 'apps', summary: 'Start stopped services', body: app.appActionSchema, status: 202, answer: operation.operationSchema },
  stopApp: { tag: 'apps', summary: 'Stop services without removing them', body: app.appActionSchema, status: 202, answer: operation.operationSchema },
  restartApp: { tag: 'apps', summary: 'Restart services', body: app.appActionSchema, status: 202, answer: operation.operationSchema },
  listAppContainers: { tag: 'apps', summary: 'Containers of an app', answer: app.containerListSchema },
  getAppLogs: { tag: 'apps', summary: 'Log lines of an app\'s containers', query: app.appLogsQuery, answer: app.logLineSchema },
  listContainers: { tag: 'containers', summary: 'Containers of all apps', answer: app.containerListSchema },
  getContainer: { tag: 'containers', summary: 'One container by name or id', answer: app.containerSchema },
  execInContainer: { tag: 'containers', summary: 'Run a program in a container', start: machine.execRequestSchema },
  listVolumes: { tag: 'volumes', summary: 'All volumes', answer: app.volumeListSchema },
  listOperations: { tag: 'operations', summary: 'Operations, the newest first', query: operation.operationListQuery, answer: operation.operationListSchema },
  getOperation: { tag: 'operations', summary: 'One operation', answer: operation.operationSchema },
  followOperation: { tag: 'operations', summary: 'The operation now and after each change, until it has ended', answer: operation.operationSchema },
  cancelOperation: { tag: 'operations', summary: 'Ask an operation to stop and undo what it can', body: empty, status: 202, answer: operation.operationSchema },
  watchEvents: { tag: 'daemon', summary: 'Every change after a revision; 410 once it was compacted', query: operation.eventsQuery, answer: operation.eventSchema },
} as const satisfies Record<OperationId, Shape>;

type Shapes = typeof shapes;
type Of<K extends OperationId, Part extends keyof Shape> = Shapes[K] extends { readonly [P in Part]: infer S } ? S : never;
type Nothing = Record<string, never>;

/** Validated query, body and first frame, as the server sees them. */
export type QueryOf<K extends OperationId> = Of<K, 'query'> extends z.ZodType ? z.output<Of<K, 'query'>> : Nothing;
export type BodyOf<K extends OperationId> = Of<K, 'body'> extends z.ZodType ? z.output<Of<K, 'body'>> : Nothing;
export type StartOf<K extends OperationId> = Of<K, 'start'> extends z.ZodType ? z.output<Of<K, 'start'>> : Nothing;
/** What a client may send: fields with defaults may be left out. */
export type BodyInputOf<K extends OperationId> = Of<K, 'body'> extends z.ZodType ? z.input<Of<K, 'body'>> : Nothing;
export type StartInputOf<K extends OperationId> = Of<K, 'start'> extends z.ZodType ? z.input<Of<K, 'start'>> : Nothing;
/** The answer, or one item of the stream. */
export type AnswerOf<K extends OperationId> = Of<K, 'answer'> extends z.ZodType ? z.output<Of<K, 'answer'>> : never;

/** Names of the parameters in a path. */
export function parameterNames(id: OperationId): string[] {
  return [...endpoints[id].path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] as string);
}

/** Schema of one path parameter. */
export const parameterSchema = handleField;
