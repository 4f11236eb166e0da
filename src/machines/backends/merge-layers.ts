/**
 * Merges layers of a disk in use that nothing of its machine's own keeps apart, so that a machine can be copied any number of times. Cut
 * off anywhere, the disk reads the same, and what says where it lies is right: layers are removed when it does not name them any more.
 */
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { failpoint } from '#base';
import { disksNow, layersFolder, readMovedDisks } from '../qemu/copies/disks-record.ts';
import { diskBytes, makeOverlay } from '../qemu/copies/make-overlay.ts';
import { chainOfDisk, type Layer } from '../qemu/copies/layers.ts';
import { listSnapshots } from '../qemu/copies/snapshot-record.ts';
import type { DiskWork } from './disk-carrier.ts';
import type { MergedLayers } from './disk-merges.ts';
import { chainNow, outlives, recordChain, type HeldDisk } from './disk-snapshots.ts';
import { planMerge, type MergePlan } from './plan-merge.ts';

export interface Merging extends DiskWork {
  /** While nothing else is done with the machine's disks; short. */
  inTurn<T>(work: () => Promise<T>): Promise<T>;
  /** More is not copied. */
  readonly mostBytes?: number;
}

/** @returns whether there was something to merge, and it was. @throws StrataError `disk.jobFailed`, `disk.busy` */
export async function mergeLayers(it: HeldDisk, merging: Merging): Promise<boolean> {
  const { operations, disk: { serial } } = it;
  if (operations === undefined) return false;
  const begun = await merging.inTurn(async () => {
    const chain = await chainNow(it);
    const plan = await planOf(it, chain);
    if (!plan.merge) await recordIfOutdated(it, chain);
    if (!plan.merge || plan.bytes > (merging.mostBytes ?? Number.POSITIVE_INFINITY)) return undefined;
    const [upper, ...lower] = chain.slice(1, 1 + plan.count);
    return upper === undefined ? undefined : { layers: [upper, ...lower].map((one) => one.path), path: await newFile(it, chain, upper) };
  });
  if (begun === undefined) return false;
  const { layers, path } = begun;
  let merged: MergedLayers | undefined;
  try {
    const made = merged = await operations.merge(serial, layers, path, merging);
    if (outlives(it)) await flush(path);
    failpoint('machines.backends.layersMerged');
    return await merging.inTurn(async () => {
      const placed = await made.putInPlace();
      await (placed ? recordChain(it, layers) : removeUnused(it, path, merged));
      return placed;
    });
  } catch (thrown) {
    await merging.inTurn(() => removeUnused(it, path, merged)).catch(() => undefined); // the first error tells the story; the next merge, or boot, removes it
    throw thrown;
  }
}

/** Of a daemon that ended when merged layers were in place: what it replaced is of no use any more. */
async function recordIfOutdated(it: HeldDisk, chain: readonly Layer[]): Promise<void> {
  const said = disksNow({ disks: [it.disk] }, await readMovedDisks(it.places)).flatMap(chainOfDisk);
  if (outlives(it) && said.map((one) => one.path).join() !== chain.map((one) => one.path).join()) await recordChain(it);
}

async function planOf(it: HeldDisk, chain: readonly Layer[]): Promise<MergePlan> {
  // Without memory nothing of a scratch disk comes back.
  const snapshots = (await listSnapshots(it.places)).filter((one) => !one.passing && (one.memory !== null || outlives(it)));
  const kept = new Set(snapshots.flatMap((one) => one.disks.filter((of) => of.serial === it.disk.serial).flatMap((of) => of.layers.map((layer) => layer.file))));
  return planMerge(await Promise.all(chain.map(async ({ path }) => {
    const { blocks, ino } = await stat(path);
    return { bytes: blocks * 512, kept: kept.has(`layer-${ino}`) };
  })));
}

async function newFile(it: HeldDisk, chain: readonly Layer[], upper: Layer): Promise<string> {
  const folder = layersFolder(it.places);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const prefix = `merged-${it.disk.serial}-`;
  const numbers = (await readdir(folder)).flatMap((name) => { const number = name.startsWith(prefix) ? name.slice(prefix.length) : ''; return /^\d+$/.test(number) ? [Number(number)] : []; });
  const pathOf = (number: number) => join(folder, `${prefix}${number}`);
  for (const number of numbers) if (!chain.some((one) => one.path === pathOf(number))) await rm(pathOf(number), { force: true }); // of one that was cut off
  const path = pathOf(Math.max(0, ...numbers) + 1);
  await makeOverlay(path, await diskBytes(upper), { lasting: false });
  return path;
}

/** On the disk before anything says that it is there. */
async function flush(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try { await file.sync(); } finally { await file.close(); }
}

async function removeUnused(it: HeldDisk, path: string, merged: MergedLayers | undefined): Promise<void> {
  if ((await chainNow(it)).some((one) => one.path === path)) return;
  await merged?.drop();
  await rm(path, { force: true });
}
