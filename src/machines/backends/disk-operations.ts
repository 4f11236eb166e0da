/**
 * What can be done with a disk while a guest uses it. The same for both carriers, QEMU and qemu-storage-daemon: both are
 * told over QMP, by the same names of disks. What a daemon that died left half done is cleared away by the next call.
 */
import { link, lstat, open, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { StrataError } from '#base';
import { fileNode, layerNode, nodeName } from '../qemu/drives.ts';
import { removeNode } from '../qemu/plugged-disks.ts';
import { awaitJob, endJob } from './disk-jobs.ts';
import type { DiskCarrier, DiskWork } from './disk-carrier.ts';
import { clearMerge, dropNode, mergeBeside, type MergedLayers } from './disk-merges.ts';
import { nodesOfDisk, type DiskNode } from './disk-nodes.ts';
import { jobKinds, jobsAside, type Begins, type JobsAside } from './jobs-aside.ts';
import { awaitStream, beginStream, type Stream } from './stream-layers.ts';

/** One of the files that hold a disk together; null: the one that the machine's wish names. */
export interface DiskFile { readonly path: string | null; readonly format: 'raw' | 'qcow2' }

/** Of one disk, one at a time: another is refused with `disk.busy`. */
export interface DiskOperations {
  sizeBytes(serial: string): Promise<number>;
  /** The uppermost first: the one that is written, and the layers below it. */
  files(serial: string): Promise<readonly DiskFile[]>;
  /** Twice is as once. @throws StrataError `disk.cannotShrink` */
  grow(serial: string, bytes: number): Promise<void>;
  /**
   * The disk as it is at this moment, as a raw file of its own; the guest writes on meanwhile. Where the call is broken off
   * there is no such file. @throws StrataError `disk.jobFailed`
   */
  copy(serial: string, path: string, work?: DiskWork): Promise<void>;
  /** At one moment: what was written until then stays as it is, and the guest writes on into this file, which is an empty qcow2. */
  putOnTop(serial: string, path: string): Promise<void>;
  /** All that lies between the top and the `keep` lowest files goes into the top, while the guest writes on. Twice is as once. @throws StrataError `disk.jobFailed` */
  pull(serial: string, keep: number, work?: DiskWork): Promise<void>;
  /**
   * What these layers hold, the uppermost first, into one new file beside the disk, an empty qcow2 of the size of the uppermost. Nobody
   * waits for it: snapshots are taken meanwhile, and a copy or a pull breaks it off. @throws StrataError `disk.jobFailed`, `disk.layersChanged`
   */
  merge(serial: string, layers: readonly string[], path: string, work?: DiskWork): Promise<MergedLayers>;
}

/** No serial has an underscore. */
const copyOf = (serial: string): string => `${jobKinds.copy}_${serial}`;
const pullOf = (serial: string): string => `${jobKinds.pull}_${serial}`;

export function diskOperations(carrier: DiskCarrier): DiskOperations & JobsAside {
  const { monitor } = carrier;
  const busy = new Set<string>();
  /** Of disks that are merged; each returns when that is over. */
  const merging = new Map<string, () => Promise<void>>();
  const { begin, gaveWay, ...aside } = jobsAside(carrier, (serial) => merging.has(serial));

  const nodes = (serial: string) => nodesOfDisk(monitor, serial);

  /** One change at a time, after what an earlier daemon began is out of the way. */
  async function alone<T>(serial: string, work: () => Promise<T>): Promise<T> {
    if (busy.has(serial)) throw isBusy(serial);
    busy.add(serial);
    try {
      await merging.get(serial)?.();
      await clearAway(carrier, serial);
      return await work();
    } finally {
      await clearAway(carrier, serial).finally(() => busy.delete(serial));
    }
  }

  /** A merge gives way to all else. */
  async function givingWay<T>(serial: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (busy.has(serial) || merging.has(serial)) throw isBusy(serial);
    const [end, over] = [new AbortController(), Promise.withResolvers<void>()];
    merging.set(serial, () => { end.abort(); return over.promise; });
    try { return await work(end.signal); } finally {
      merging.delete(serial);
      over.resolve();
    }
  }

  return {
    ...aside,
    async endMerges(only) {
      for (const serial of only === undefined ? [...merging.keys()] : [only]) await merging.get(serial)?.();
      await aside.endMerges(only);
    },
    merge: (serial, layers, path, work = {}) => givingWay(serial, async (end) => {
      const signal = AbortSignal.any([end, ...(work.signal === undefined ? [] : [work.signal])]);
      try {
        await begin(() => clearMerge(carrier, serial));
        const merged = await mergeBeside(carrier, serial, layers, path, { ...work, signal }, { begin, gaveWay });
        return { ...merged, putInPlace: () => givingWay(serial, () => begin(merged.putInPlace)) };
      } catch (thrown) {
        await begin(() => clearMerge(carrier, serial));
        await carrier.takeBack(basename(path));
        throw thrown;
      }
    }),
    sizeBytes: async (serial) => (await nodes(serial))[0].bytes,
    async files(serial) {
      const found = await nodes(serial);
      const paths = await carrier.pathsOf(found.map((one) => one.filename));
      return found.map(({ format }, at) => ({ path: paths[at] ?? null, format }));
    },
    async grow(serial, bytes) {
      const [{ name, bytes: now }] = await nodes(serial);
      if (bytes < now) throw cannotShrink(serial, now, bytes);
      if (bytes > now) await monitor.execute('block_resize', { 'node-name': name, size: bytes });
    },
    async copy(serial, path, work = {}) {
      await checkCopyPath(path);
      await alone(serial, async () => {
        const unfinished = `${path}.new`;
        try {
          await rm(unfinished, { force: true });
          const file = await open(unfinished, 'wx', 0o600);
          try { await file.truncate((await nodes(serial))[0].bytes); } finally { await file.close(); }
          await runCopy(carrier, serial, unfinished, work, begin);
          await link(unfinished, path); // never over a file that is there
        } finally {
          await rm(unfinished, { force: true });
        }
      });
    },
    putOnTop: (serial, path) => alone(serial, async () => {
      const [top, ...below] = await nodes(serial);
      const node = `o${highest([top, ...below]) + 1}-${serial}`;
      await monitor.execute('blockdev-del', { 'node-name': node }).catch(() => undefined); // of an attempt that was cut off
      await monitor.execute('blockdev-add', layerNode('qcow2', false, node, await carrier.handIn(basename(path), path), null));
      try {
        await monitor.execute('blockdev-snapshot', { node: top.name, overlay: node });
      } catch (thrown) {
        await monitor.execute('blockdev-del', { 'node-name': node }).catch(() => undefined);
        await carrier.takeBack(basename(path));
        throw thrown;
      }
    }),
    pull: (serial, keep, work = {}) => alone(serial, () => pull(carrier, serial, keep, work, { begin, gaveWay })),
  };
}

const isBusy = (serial: string): StrataError => new StrataError(`the disk ${serial} is being copied or changed already`, { code: 'disk.busy', kind: 'conflict', advice: 'wait for its end; `strata operation ls` shows it' });

/** In words that compare; whole numbers only, so that no two sizes look the same. */
function sizeWords(bytes: number): string {
  const [factor, unit] = ([[1024 ** 3, 'GiB'], [1024 ** 2, 'MiB']] as const).find(([one]) => bytes > 0 && bytes % one === 0) ?? [1, 'bytes'];
  return `${bytes / factor} ${unit}`;
}

export const cannotShrink = (serial: string, now: number, to: number): StrataError => new StrataError(`the disk ${serial} has ${sizeWords(now)}, and cannot shrink to ${sizeWords(to)}: what lies there would be lost`, { code: 'disk.cannotShrink', kind: 'refused', advice: `name a size above ${sizeWords(now)}` });

/** Whether a copy can be made there. @throws StrataError `disk.badPath`, `disk.fileExists` */
export async function checkCopyPath(path: string): Promise<void> {
  const folder = dirname(path);
  const [there, above] = await Promise.all([lstat(path), stat(folder)].map((found) => found.catch(() => undefined)));
  if ((await stat(path).catch(() => undefined))?.isDirectory() === true) throw badPath(`${path} is a folder`, `name the file to make in it, as ${join(path, 'disk.raw')}`);
  if (there !== undefined) throw fileExists(path);
  if (above === undefined) throw badPath(`the folder ${folder} does not exist`, `make it first (\`mkdir -p ${folder}\`), or choose another`);
  if (!above.isDirectory()) throw badPath(`${folder} is no folder`, 'choose another');
}

const badPath = (message: string, advice: string): StrataError => new StrataError(message, { code: 'disk.badPath', kind: 'invalid', advice });

export const fileExists = (path: string): StrataError => new StrataError(`there is a file ${path} already`, { code: 'disk.fileExists', kind: 'conflict', advice: 'choose another name' });

/** Number of the newest overlay. */
const highest = (nodes: readonly DiskNode[]): number => Math.max(0, ...nodes.map(({ name }) => Number(/^o(\d+)-/.exec(name)?.[1] ?? 0)));

async function runCopy(carrier: DiskCarrier, serial: string, path: string, { signal, progress }: DiskWork, begin: Begins['begin']): Promise<void> {
  const { monitor } = carrier;
  const target = fileNode({ serial: copyOf(serial), path, format: 'raw', readOnly: false }, await carrier.handIn(copyOf(serial), path));
  await monitor.execute('blockdev-add', { ...target, 'detect-zeroes': 'unmap' });
  // A mirror and no backup: that would write zeroes where the disk is empty, and take room for them. Each write of the guest
  // waits for its copy, so that it comes to an end however much the guest writes.
  await begin(async () => monitor.execute('blockdev-mirror', {
    'job-id': copyOf(serial), device: (await nodesOfDisk(monitor, serial))[0].name, target: nodeName(copyOf(serial)), sync: 'full', 'copy-mode': 'write-blocking', 'auto-dismiss': false,
  }));
  // To cancel a mirror that is ready is to keep the copy as it is now.
  await awaitJob(carrier, copyOf(serial), { failed: `the disk ${serial} could not be copied`, signal, progress, ready: () => monitor.execute('block-job-cancel', { device: copyOf(serial) }) });
}

async function pull(carrier: DiskCarrier, serial: string, keep: number, work: DiskWork, { begin, gaveWay }: Begins): Promise<void> {
  const begun = await begin(async () => {
    const [top, ...below] = await nodesOfDisk(carrier.monitor, serial);
    const gone = below.slice(0, Math.max(0, below.length - keep));
    const base = below[gone.length];
    if (gone.length === 0 || base === undefined) return undefined;
    gaveWay(pullOf(serial)); // an earlier one
    const stream: Stream = { id: pullOf(serial), into: top.name, base: base.name, failed: `the layers of the disk ${serial} could not be merged` };
    await beginStream(carrier, stream);
    return { gone, stream };
  });
  if (begun === undefined) return;
  await awaitStream(carrier, begun.stream, work, gaveWay);
  for (const node of begun.gone) await dropNode(carrier, node);
}

/** A copy or a pull that runs or has ended, and the target of a copy. */
async function clearAway(carrier: DiskCarrier, serial: string): Promise<void> {
  await endJob(carrier, pullOf(serial));
  await endJob(carrier, copyOf(serial));
  await removeNode(carrier.monitor, copyOf(serial));
  await carrier.takeBack(copyOf(serial));
}
