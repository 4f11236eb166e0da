/**
 * A snapshot on the disk: a folder with names for the layers of its disks, the memory and devices where it has them, and a
 * record, which is written last and removed first: what has none is not whole.
 */
import { link, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { architectures, atomicWrite, StrataError } from '#base';
import { machineSpecSchema } from '../../machine.ts';
import { layouts } from '../suspended/suspended-record.ts';
import type { LayerPlaces } from './layers.ts';

const layerSchema = z.strictObject({ file: z.string().regex(/^[^/]+$/), format: z.enum(['raw', 'qcow2']) });
const snapshotRecordSchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9-]{1,40}$/),
  name: z.string(),
  /** Of a clone or a fork, which removes it when it has what it needs. */
  passing: z.boolean(),
  createdAt: z.int(),
  spec: machineSpecSchema,
  memory: z.strictObject({
    qemuVersion: z.string(), architecture: z.enum(architectures), accelerator: z.enum(['kvm', 'tcg']), processors: z.int(), memoryMiB: z.int(),
    layout: z.enum(layouts), mac: z.string().nullable(), stateBytes: z.int(),
    /** Not flushed: good until the host is restarted. Null: for ever. */
    hostBootId: z.string().nullable(),
  }).nullable(),
  disks: z.array(z.strictObject({
    serial: z.string(), scsiId: z.int().nullable(),
    /** Of a disk that is written; others are where they were. */
    layers: z.array(layerSchema), path: z.string().nullable(), format: z.enum(['raw', 'qcow2']),
  })),
});
export type SnapshotRecord = z.infer<typeof snapshotRecordSchema>;

const recordName = 'snapshot.json';
const snapshotsFolder = (places: LayerPlaces): string => join(places.stateFolder, 'snapshots');
export const memoryFile = (folder: string): string => join(folder, 'memory');
export const devicesFile = (folder: string): string => join(folder, 'devices');

export function snapshotFolder(places: LayerPlaces, id: string): string {
  if (!/^[a-z0-9-]{1,40}$/.test(id)) throw new StrataError(`'${id}' is no id of a snapshot`, { code: 'machine.badId', kind: 'invalid' });
  return join(snapshotsFolder(places), id);
}

/** What a machine goes on from at its next start: a snapshot with memory, put there. */
export const goingOnFolder = (places: LayerPlaces): string => join(places.stateFolder, 'going-on');

/** 'none' where nothing whole is there, 'damaged' where it cannot be read. */
export async function readSnapshot(folder: string): Promise<SnapshotRecord | 'none' | 'damaged'> {
  const text = await readFile(join(folder, recordName), 'utf8').catch(() => undefined);
  if (text === undefined) return 'none';
  try { return snapshotRecordSchema.parse(JSON.parse(text)); } catch { return 'damaged'; }
}

/** One in passing is used at once, or taken again: nothing waits for a disk. */
export async function writeSnapshot(folder: string, record: SnapshotRecord): Promise<void> {
  const path = join(folder, recordName);
  if (record.passing) {
    await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
    await rename(`${path}.new`, path);
    return;
  }
  await flushFolder(folder);
  await atomicWrite(path, JSON.stringify(record));
}

/** The whole ones, the oldest first. */
export async function listSnapshots(places: LayerPlaces): Promise<readonly SnapshotRecord[]> {
  const names = await readdir(snapshotsFolder(places)).catch(() => []);
  const all = await Promise.all(names.map((name) => readSnapshot(join(snapshotsFolder(places), name))));
  return all.flatMap((one) => (typeof one === 'string' ? [] : [one])).toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
}

/** From here on it is none; its files are there still. */
export async function forgetSnapshot(folder: string): Promise<void> {
  await rm(join(folder, recordName), { force: true });
}

/** Of removals, and of takings that nobody goes on with: what no record names is seen by nobody, and takes its room. While nothing of the machine is taken. */
export async function dropUnrecorded(places: LayerPlaces): Promise<void> {
  const names = await readdir(snapshotsFolder(places)).catch(() => []);
  for (const name of names) {
    const folder = join(snapshotsFolder(places), name);
    // One that only cannot be read now is not removed.
    const isGone = await stat(join(folder, recordName)).then(() => false, (cause: NodeJS.ErrnoException) => cause.code === 'ENOENT');
    if (isGone) await dropSnapshot(folder);
  }
}

/** Twice is as once. Layers that others use stay theirs. */
export async function dropSnapshot(folder: string): Promise<void> {
  await forgetSnapshot(folder);
  await rm(folder, { recursive: true, force: true });
}

/** The snapshot under another folder's name, whole or not at all; the files are the same. */
export async function linkSnapshot(from: string, to: string, passing: boolean): Promise<void> {
  const making = `${to}.new`;
  await rm(making, { recursive: true, force: true });
  await mkdir(making, { recursive: true, mode: 0o700 });
  for (const name of await readdir(from)) if (name !== recordName) await link(join(from, name), join(making, name));
  await link(join(from, recordName), join(making, basename(recordName)));
  if (!passing) await flushFolder(making);
  await dropSnapshot(to);
  await rename(making, to);
}

async function flushFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try { await folder.sync(); } finally { await folder.close(); }
}
