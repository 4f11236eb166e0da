/**
 * What comes out of each operation, with its summary: together with endpoints.ts and requests.ts the whole
 * API as values. The OpenAPI document is made from it, and types are read off it; no running program loads it.
 */
import { z } from 'zod';
import * as app from './app.ts';
import * as backend from './disk-backend.ts';
import type { OperationId } from './endpoints.ts';
import * as engine from './engine.ts';
import * as host from './host.ts';
import * as image from './image.ts';
import * as machine from './machine.ts';
import * as operation from './operation.ts';

export const tags = ['daemon', 'hosts', 'engines', 'machines', 'backends', 'images', 'apps', 'containers', 'volumes', 'operations'] as const;

export interface AnswerShape {
  readonly tag: (typeof tags)[number];
  readonly summary: string;
  /** The one JSON answer, or one item of a stream. */
  readonly answer?: z.ZodType;
}

export const answers = {
  getLiveness: { tag: 'daemon', summary: 'Whether the daemon answers at all', answer: host.livenessSchema },
  getReadiness: { tag: 'daemon', summary: 'Whether the daemon can do its work; 503 until then', answer: host.readinessSchema },
  getOpenApi: { tag: 'daemon', summary: 'This document', answer: z.record(z.string(), z.unknown()) },
  getMetrics: { tag: 'daemon', summary: 'Hosts, machines, pool, services and the daemon as numbers, in the text format of Prometheus', answer: z.string() },
  getVersion: { tag: 'daemon', summary: 'Version, instance and process of the daemon', answer: host.versionSchema },
  getDoctor: { tag: 'daemon', summary: 'What the host has, lacks and has proved', answer: host.doctorListSchema },
  listHosts: { tag: 'hosts', summary: 'All hosts of the pool', answer: host.hostListSchema },
  getHost: { tag: 'hosts', summary: 'One host by name or id', answer: host.hostSchema },
  listPool: { tag: 'machines', summary: 'Machines that ran once and stand still until a start takes them, by shape', answer: machine.pooledMachinesListSchema },
  listEngines: { tag: 'engines', summary: 'What runs machines here, and what each can do', answer: engine.engineListSchema },
  getEngine: { tag: 'engines', summary: 'One engine by name', answer: engine.engineSchema },
  listMachines: { tag: 'machines', summary: 'All machines', answer: machine.machineListSchema },
  createMachine: { tag: 'machines', summary: 'Make a machine that carries containers or a shell', answer: machine.machineSchema },
  getMachine: { tag: 'machines', summary: 'One machine by name or id', answer: machine.machineSchema },
  removeMachine: { tag: 'machines', summary: 'Remove a machine and its disks', answer: machine.machineSchema },
  startMachine: { tag: 'machines', summary: 'Wish a machine running', answer: machine.machineSchema },
  stopMachine: { tag: 'machines', summary: 'Wish a machine stopped', answer: machine.machineSchema },
  restartMachine: { tag: 'machines', summary: 'Restart a machine once', answer: machine.machineSchema },
  pauseMachine: { tag: 'machines', summary: 'Wish a machine paused: its processors stand still, its memory stays', answer: machine.machineSchema },
  suspendMachine: { tag: 'machines', summary: 'Wish a machine suspended: its memory is written to disk, and the host has its own back', answer: machine.machineSchema },
  resumeMachine: { tag: 'machines', summary: 'Let a paused or suspended machine go on', answer: machine.machineSchema },
  growDisk: { tag: 'machines', summary: 'Grow a disk', answer: machine.machineSchema },
  copyDisk: { tag: 'machines', summary: 'Copy a disk, as it is at one moment or was in a snapshot, into a file', answer: operation.operationSchema },
  cloneDisk: { tag: 'machines', summary: 'Make a new machine whose disk begins with this one as it is at one moment, or with a snapshot of it', answer: operation.operationSchema },
  listDiskSnapshots: { tag: 'machines', summary: 'Snapshots that hold a disk, the oldest first', answer: machine.snapshotListSchema },
  createDiskSnapshot: { tag: 'machines', summary: 'Keep a disk as it is at one moment, while the guest writes on', answer: operation.operationSchema },
  restoreDiskSnapshot: { tag: 'machines', summary: 'Bring a disk back to a snapshot; a machine that runs is ended for it', answer: operation.operationSchema },
  removeDiskSnapshot: { tag: 'machines', summary: 'Remove a snapshot, and merge what only it kept apart; clones of it stay', answer: operation.operationSchema },
  listSnapshots: { tag: 'machines', summary: 'Snapshots of a machine, the oldest first', answer: machine.snapshotListSchema },
  createSnapshot: { tag: 'machines', summary: 'Take a snapshot of a machine\'s disks, and of its memory', answer: operation.operationSchema },
  restoreSnapshot: { tag: 'machines', summary: 'Bring a machine back to a snapshot; one that runs is ended for it', answer: operation.operationSchema },
  removeSnapshot: { tag: 'machines', summary: 'Remove a snapshot; clones of it stay. What only it kept apart on disks in use is merged by operations of their own', answer: machine.snapshotSchema },
  cloneMachine: { tag: 'machines', summary: 'Make a new machine with the disks of one that does not run, or of a snapshot', answer: operation.operationSchema },
  forkMachine: { tag: 'machines', summary: 'Make a second machine that goes on from where one that runs is, memory and all', answer: operation.operationSchema },
  getMachineLogs: { tag: 'machines', summary: 'What its serial console printed last', answer: machine.consoleLineSchema },
  execInMachine: { tag: 'machines', summary: 'Run a program in the guest' },
  openMachineConsole: { tag: 'machines', summary: 'The serial console, both ways' },
  listBackends: { tag: 'backends', summary: 'All processes that serve disks to machines', answer: backend.diskBackendListSchema },
  getBackend: { tag: 'backends', summary: 'One back end by name or id, and what can be done with it', answer: backend.diskBackendSchema },
  getBackendLog: { tag: 'backends', summary: 'What happened to a back end last', answer: backend.backendLogSchema },
  restartBackend: { tag: 'backends', summary: 'Restart a back end once; its machine waits for it, or is restarted with it', answer: backend.diskBackendSchema },
  listImages: { tag: 'images', summary: 'All images kept here', answer: image.imageListSchema },
  importImage: { tag: 'images', summary: 'Import an image archive or OCI layout', answer: operation.operationSchema },
  pullImage: { tag: 'images', summary: 'Pull an image from a registry', answer: operation.operationSchema },
  removeImage: { tag: 'images', summary: 'Remove an image that nothing uses', answer: image.imageListSchema },
  listApps: { tag: 'apps', summary: 'All apps', answer: app.appListSchema },
  resolveApp: { tag: 'apps', summary: 'Read Compose files and show the resolved project; changes nothing', answer: app.resolvedAppSchema },
  getApp: { tag: 'apps', summary: 'One app by name', answer: app.appSchema },
  putApp: { tag: 'apps', summary: 'Bring an app up as its Compose files say', answer: operation.operationSchema },
  removeApp: { tag: 'apps', summary: 'Take an app down', answer: operation.operationSchema },
  startApp: { tag: 'apps', summary: 'Start stopped services', answer: operation.operationSchema },
  stopApp: { tag: 'apps', summary: 'Stop services without removing them', answer: operation.operationSchema },
  restartApp: { tag: 'apps', summary: 'Restart services', answer: operation.operationSchema },
  listAppContainers: { tag: 'apps', summary: 'Containers of an app', answer: app.containerListSchema },
  getAppLogs: { tag: 'apps', summary: 'Log lines of an app\'s containers', answer: app.logLineSchema },
  listContainers: { tag: 'containers', summary: 'Containers of all apps', answer: app.containerListSchema },
  getContainer: { tag: 'containers', summary: 'One container by name or id', answer: app.containerSchema },
  execInContainer: { tag: 'containers', summary: 'Run a program in a container' },
  listVolumes: { tag: 'volumes', summary: 'All volumes', answer: app.volumeListSchema },
  listOperations: { tag: 'operations', summary: 'Operations, the newest first', answer: operation.operationListSchema },
  getOperation: { tag: 'operations', summary: 'One operation', answer: operation.operationSchema },
  followOperation: { tag: 'operations', summary: 'The operation now and after each change, until it has ended', answer: operation.operationSchema },
  cancelOperation: { tag: 'operations', summary: 'Ask an operation to stop and undo what it can', answer: operation.operationSchema },
  watchEvents: { tag: 'daemon', summary: 'Every change after a revision; 410 once it was compacted', answer: operation.eventSchema },
} as const satisfies Record<OperationId, AnswerShape>;

/** The answer, or one item of the stream. */
export type AnswerOf<K extends OperationId> = (typeof answers)[K] extends { readonly answer: infer S } ? S extends z.ZodType ? z.output<S> : never : never;
