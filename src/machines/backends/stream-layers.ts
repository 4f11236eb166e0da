/** What lies between two nodes of a carrier goes into the upper one, by a job (`block-stream`). */
import { StrataError } from '#base';
import type { DiskCarrier, DiskWork } from './disk-carrier.ts';
import { awaitJob } from './disk-jobs.ts';
import { liesOn } from './disk-nodes.ts';

export interface Stream {
  readonly id: string;
  readonly into: string;
  readonly base: string;
  /** In the words of a person: 'the layers of the disk data could not be merged'. */
  readonly failed: string;
}

/**
 * The file must not name what lies below it: its opener says that. The job forgets itself: one that has ended and is still known keeps
 * its filter, which lies on nothing any more, and QEMU (7.2) ends with a fault when it is asked for its
 * nodes then. So whether it did its work is seen by what lies where.
 */
export async function beginStream({ monitor }: DiskCarrier, { id, into, base }: Stream): Promise<void> {
  await monitor.execute('block-stream', { 'job-id': id, device: into, 'base-node': base, 'backing-file': '' });
}

/** @throws StrataError `disk.jobFailed`, and `disk.jobEnded` where it gave way */
export async function awaitStream(carrier: DiskCarrier, { id, into, base, failed }: Stream, { signal, progress }: DiskWork, gaveWay: (id: string) => boolean): Promise<void> {
  await awaitJob(carrier, id, { failed, signal, progress, forgetsItself: true });
  if (await liesOn(carrier.monitor, into, base)) return;
  throw gaveWay(id)
    ? new StrataError(`${failed}: its machine was copied meanwhile`, { code: 'disk.jobEnded', kind: 'unavailable', advice: 'try again' })
    : new StrataError(failed, { code: 'disk.jobFailed', kind: 'unavailable', advice: 'see whether the host\'s disk is full' });
}
