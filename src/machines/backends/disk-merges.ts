/**
 * Merges layers of a disk that is in use, beside it: what several of them hold is streamed into one new file under which nobody
 * writes, while guests write on, and snapshots are taken; then that file takes their place. Layers themselves are never written.
 */
import { basename } from 'node:path';
import { failpoint, StrataError } from '#base';
import { isBelow, layerNode, mergedNode, nodeName, overlayOn } from '../qemu/drives.ts';
import type { DiskCarrier, DiskWork } from './disk-carrier.ts';
import { endJob } from './disk-jobs.ts';
import { nodesOfDisk, type DiskNode } from './disk-nodes.ts';
import { jobKinds, type Begins } from './jobs-aside.ts';
import { awaitStream, beginStream, type Stream } from './stream-layers.ts';

/** A file that holds what some layers hold, and is not in their place yet. */
export interface MergedLayers {
  /** Twice is as once. False: the disk lies on other layers by now, and nothing was changed. */
  putInPlace(): Promise<boolean>;
  /** Where it is of no use. The file is the caller's to remove. */
  drop(): Promise<void>;
}

export const mergeOf = (serial: string): string => `${jobKinds.merge}_${serial}`;

interface Place { readonly over: DiskNode; readonly gone: readonly DiskNode[]; readonly below: DiskNode }

/** Where these files lie one above the other, with something above and something below them. */
async function placeOf(carrier: DiskCarrier, serial: string, layers: readonly string[]): Promise<Place | undefined> {
  const nodes = await nodesOfDisk(carrier.monitor, serial);
  const paths = await carrier.pathsOf(nodes.map((one) => one.filename));
  const at = paths.indexOf(layers[0] ?? null);
  const [over, gone, below] = [nodes[at - 1], nodes.slice(at, at + layers.length), nodes[at + layers.length]];
  if (over === undefined || below === undefined || layers.length < 2 || !layers.every((path, index) => paths[at + index] === path)) return undefined;
  return { over, gone, below };
}

/** @param path a new, empty qcow2 of the size of the uppermost. @throws StrataError `disk.jobFailed`, `disk.layersChanged` */
export async function mergeBeside(carrier: DiskCarrier, serial: string, layers: readonly string[], path: string, work: DiskWork, { begin, gaveWay }: Begins): Promise<MergedLayers> {
  const { monitor } = carrier;
  const place = await placeOf(carrier, serial, layers);
  if (place === undefined) throw new StrataError(`the disk ${serial} lies on other layers by now`, { code: 'disk.layersChanged', kind: 'conflict' });
  const node = nodeName(mergeOf(serial));
  const stream: Stream = { id: mergeOf(serial), into: node, base: place.below.name, failed: `the layers of the disk ${serial} could not be merged` };
  const making = await carrier.handIn(basename(path), path);
  // Nothing of it is flushed while it is made: a machine that is stopped for a moment would wait for that.
  await begin(async () => {
    await monitor.execute('blockdev-add', { ...layerNode('qcow2', false, node, making, (place.gone[0] as DiskNode).name), cache: { 'no-flush': true } });
    await beginStream(carrier, stream);
  });
  await awaitStream(carrier, stream, work, gaveWay);
  await begin(() => monitor.execute('blockdev-del', { 'node-name': node }));
  // Opened anew, for reading: whoever may write a file keeps its lock, and no other machine could lie on it.
  await carrier.takeBack(basename(path));
  const filename = await carrier.handIn(basename(path), path, true);
  return {
    putInPlace: async () => {
      const now = await placeOf(carrier, serial, layers);
      if (now !== undefined) await putInPlace(carrier, filename, now);
      return now !== undefined;
    },
    drop: () => carrier.takeBack(basename(path)),
  };
}

async function putInPlace(carrier: DiskCarrier, filename: string, { over, gone, below }: Place): Promise<void> {
  const { monitor } = carrier;
  const node = mergedNode((gone[0] as DiskNode).name);
  await monitor.execute('blockdev-add', layerNode('qcow2', true, node, filename, below.name));
  try {
    await monitor.execute('blockdev-reopen', { options: [overlayOn(over.name, over.readOnly, node)] });
  } catch (thrown) {
    await monitor.execute('blockdev-del', { 'node-name': node });
    throw thrown;
  }
  failpoint('machines.backends.layersReplaced');
  await Promise.all(gone.map((one) => dropNode(carrier, one))); // told in this order, the uppermost first
}

/** A node that nothing stands on any more, and its file. */
export async function dropNode(carrier: DiskCarrier, { name, filename }: DiskNode): Promise<void> {
  const { monitor } = carrier;
  if (!isBelow(name)) await monitor.execute('blockdev-del', { 'node-name': name }); // others go with what they lay under
  const set = /^\/dev\/fdset\/(\d+)$/.exec(filename)?.[1];
  if (set === undefined) await carrier.takeBack(basename(filename));
  else await monitor.execute('remove-fd', { 'fdset-id': Number(set) }).catch(() => undefined); // QEMU removes a set with its last use
}

/** What a merge that was broken off left, also one of an earlier daemon. */
export async function clearMerge(carrier: DiskCarrier, serial: string): Promise<void> {
  await endJob(carrier, mergeOf(serial));
  const node = await nodesOfDisk(carrier.monitor, mergeOf(serial)).then(([one]) => one, (thrown: unknown) => { if (thrown instanceof StrataError && thrown.code === 'disk.notFound') return undefined; throw thrown; });
  if (node !== undefined) await dropNode(carrier, node);
}
