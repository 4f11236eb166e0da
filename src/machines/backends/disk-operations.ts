/**
 * What can be done with a disk while a guest uses it. The same for both carriers, QEMU and qemu-storage-daemon: both are
 * told over QMP, by the same names of disks. What a daemon that died left half done is cleared away by the next call.
 */
import { existsSync } from 'node:fs';
import { link, open, rm } from 'node:fs/promises';
import { z } from 'zod';
import { StrataError, type Clock } from '#base';
import { fileNode, nodeName, topNode } from '../qemu/drives.ts';
import { removeNode } from '../qemu/plugged-disks.ts';
import type { Monitor } from '../qemu/qmp/open-monitor.ts';

/** Who has the disk open. */
export interface DiskCarrier {
  readonly monitor: Monitor;
  /** Makes a file writable for it; the answer is the name by which it opens it. */
  handIn(name: string, path: string): Promise<string>;
  /** Idempotent; also where an earlier daemon handed it in. */
  takeBack(name: string): Promise<void>;
  readonly clock: Clock;
}

export interface DiskOperations {
  sizeBytes(serial: string): Promise<number>;
  /** Twice is as once. @throws StrataError `disk.cannotShrink` */
  grow(serial: string, bytes: number): Promise<void>;
  /**
   * The disk as it is at this moment, as a raw file of its own; the guest writes on meanwhile. Where the call is broken off
   * there is no such file. @throws StrataError `disk.copyFailed`
   */
  copy(serial: string, path: string, signal?: AbortSignal): Promise<void>;
}

const nodesSchema = z.array(z.looseObject({ 'node-name': z.string().max(200).optional(), image: z.looseObject({ 'virtual-size': z.int() }) })).max(4000);
const jobsSchema = z.array(z.looseObject({ id: z.string().max(200), status: z.string().max(50), error: z.string().max(2000).optional() })).max(1000);
const lookEveryMs = 30;
const cancelLimitMs = 20_000;

export function diskOperations(carrier: DiskCarrier): DiskOperations {
  const { monitor } = carrier;
  const copying = new Set<string>();

  const sizeBytes = async (serial: string): Promise<number> => (await lookAt(monitor, serial)).bytes;

  return {
    sizeBytes,
    async grow(serial, bytes) {
      const { node, bytes: now } = await lookAt(monitor, serial);
      if (bytes < now) throw new StrataError(`the disk ${serial} has ${now} bytes, and cannot shrink to ${bytes}: what lies there would be lost`, { code: 'disk.cannotShrink', kind: 'refused' });
      if (bytes > now) await monitor.execute('block_resize', { 'node-name': node, size: bytes });
    },
    async copy(serial, path, signal) {
      if (existsSync(path)) throw new StrataError(`there is a file ${path} already`, { code: 'disk.fileExists', kind: 'conflict', advice: 'choose another name' });
      if (copying.has(serial)) throw new StrataError(`the disk ${serial} is being copied already`, { code: 'disk.copyRuns', kind: 'conflict', advice: 'wait for its end' });
      copying.add(serial);
      const unfinished = `${path}.new`;
      try {
        await clearAway(carrier, serial);
        await rm(unfinished, { force: true });
        const file = await open(unfinished, 'wx', 0o600);
        try { await file.truncate(await sizeBytes(serial)); } finally { await file.close(); }
        await runCopy(carrier, serial, unfinished, signal);
        await link(unfinished, path); // never over a file that is there
      } finally {
        await rm(unfinished, { force: true });
        await clearAway(carrier, serial).finally(() => copying.delete(serial));
      }
    },
  };
}

/** What the guest writes to, be it the disk or what a snapshot put on top of it. @throws StrataError `disk.notFound` */
async function lookAt(monitor: Monitor, serial: string): Promise<{ readonly node: string; readonly bytes: number }> {
  const nodes = nodesSchema.parse(await monitor.execute('query-named-block-nodes', { flat: true }));
  const top = topNode(serial, nodes.map((node) => node['node-name'] ?? ''));
  const found = nodes.find((node) => node['node-name'] === top);
  if (found === undefined) throw new StrataError(`there is no disk ${serial}`, { code: 'disk.notFound', kind: 'notFound' });
  return { node: top, bytes: found.image['virtual-size'] };
}

/** No serial has an underscore. */
const targetOf = (serial: string): string => `copy_${serial}`;

async function runCopy(carrier: DiskCarrier, serial: string, path: string, signal: AbortSignal | undefined): Promise<void> {
  const { monitor, clock } = carrier;
  const target = fileNode({ serial: targetOf(serial), path, format: 'raw', readOnly: false }, await carrier.handIn(targetOf(serial), path));
  await monitor.execute('blockdev-add', { ...target, 'detect-zeroes': 'unmap' });
  // A mirror and no backup: that would write zeroes where the disk is empty, and take room for them. Each write of the guest
  // waits for its copy, so that it comes to an end however much the guest writes.
  await monitor.execute('blockdev-mirror', { 'job-id': targetOf(serial), device: (await lookAt(monitor, serial)).node, target: nodeName(targetOf(serial)), sync: 'full', 'copy-mode': 'write-blocking', 'auto-dismiss': false });
  let told = false;
  for (;;) {
    signal?.throwIfAborted();
    const job = await jobOf(monitor, serial);
    if (job === undefined || job.error !== undefined) throw new StrataError(`the disk ${serial} could not be copied: ${job?.error ?? 'the copy was ended'}`, { code: 'disk.copyFailed', kind: 'unavailable', advice: 'see whether the host\'s disk is full' });
    if (job.status === 'concluded') return;
    // Both are the same: to cancel it is to keep the copy as it is now. Once only: a job that is ending already would be
    // broken off by a second word, or refuse it.
    if (job.status === 'ready' && !told) {
      told = true;
      await monitor.execute('block-job-cancel', { device: targetOf(serial) });
    }
    await clock.wait(lookEveryMs, signal);
  }
}

async function jobOf(monitor: Monitor, serial: string) {
  return jobsSchema.parse(await monitor.execute('query-jobs')).find((job) => job.id === targetOf(serial));
}

/** A copy of the disk that runs or has ended, and its target. */
async function clearAway({ monitor, clock, takeBack }: DiskCarrier, serial: string): Promise<void> {
  const until = clock.monotonic() + cancelLimitMs;
  for (let job = await jobOf(monitor, serial); job !== undefined; job = await jobOf(monitor, serial)) {
    if (job.status === 'concluded') await monitor.execute('job-dismiss', { id: targetOf(serial) });
    else await monitor.execute('job-cancel', { id: targetOf(serial) }).catch(() => undefined); // it ends already
    if (clock.monotonic() > until) throw new StrataError(`a copy of the disk ${serial} does not end`, { code: 'disk.copyFailed', kind: 'timeout' });
    await clock.wait(5);
  }
  await removeNode(monitor, targetOf(serial));
  await takeBack(targetOf(serial));
}
