/** The API's backend over the layers: one small file for each noun, joined here. */
import type { OperationBody } from '#reconcile';
import type { Backend } from '../backend.ts';
import { upBody, downBody, type DownInput, type UpInput } from './app-operations.ts';
import { appsBackend } from './backend-apps.ts';
import { backendsBackend } from './backend-backends.ts';
import { containersBackend, volumesBackend } from './backend-containers.ts';
import { disksBackend } from './backend-disks.ts';
import { enginesBackend } from './backend-engines.ts';
import { examineHost, hostsBackend } from './backend-hosts.ts';
import { imagesBackend } from './backend-images.ts';
import { machinesBackend } from './backend-machines.ts';
import { cloneBody, restoreBody, snapshotBody, type CloneInput, type RestoreInput, type SnapshotInput } from './copy-operations.ts';
import { diskCloneBody, diskCopyBody, diskMergeBody, diskRemovalBody, diskRestoreBody, diskSnapshotBody, type DiskCloneInput, type DiskCopyInput, type DiskMergeInput, type DiskSnapshotInput } from './disk-operations.ts';
import { eventsBackend, operationsBackend } from './backend-operations.ts';
import type { Layers } from './layers.ts';
import { timeOf } from './show-machine.ts';

export function openBackend(layers: Layers): Backend {
  const machines = machinesBackend(layers);
  return {
    version: async () => ({ version: layers.version, api: 'v1', instance: layers.instance.name, node: process.versions.node, pid: process.pid, startedAt: timeOf(layers.startedAt) }),
    readiness: async () => layers.readiness(),
    doctor: () => examineHost(layers),
    events: eventsBackend(layers),
    hosts: hostsBackend(layers),
    engines: enginesBackend(layers),
    machines,
    disks: disksBackend(layers, machines.get),
    backends: backendsBackend(layers),
    images: imagesBackend(layers),
    apps: appsBackend(layers),
    containers: containersBackend(layers),
    volumes: volumesBackend(layers),
    operations: operationsBackend(layers),
  };
}

/** What an operation kept when its daemon died says how to go on. @param layers asked for when one is run again */
export function operationReruns(layers: () => Layers): Readonly<Record<string, (input: unknown) => OperationBody>> {
  return {
    'app.up': (input) => upBody(layers(), input as UpInput),
    'machine.snapshot': (input) => snapshotBody(layers(), input as SnapshotInput),
    'machine.restore': (input) => restoreBody(layers(), input as RestoreInput),
    'machine.clone': (input) => cloneBody(layers(), input as CloneInput),
    'machine.fork': (input) => cloneBody(layers(), input as CloneInput),
    'disk.snapshot': (input) => diskSnapshotBody(layers(), input as DiskSnapshotInput),
    'disk.restore': (input) => diskRestoreBody(layers(), input as DiskSnapshotInput),
    'disk.forget': (input) => diskRemovalBody(layers(), input as DiskSnapshotInput),
    'disk.merge': (input) => diskMergeBody(layers(), input as DiskMergeInput),
    'disk.clone': (input) => diskCloneBody(layers(), input as DiskCloneInput),
    'disk.copy': (input) => diskCopyBody(layers(), input as DiskCopyInput),
    'app.down': (input) => downBody(layers(), input as DownInput),
  };
}
