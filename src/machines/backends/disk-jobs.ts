/** Jobs of a carrier: one at a time for a disk and kind. One that a dead daemon left is ended by the next. */
import { z } from 'zod';
import { StrataError, type Clock } from '#base';
import type { Monitor } from '../qemu/qmp/open-monitor.ts';

const jobsSchema = z.array(z.looseObject({
  id: z.string().max(200), status: z.string().max(50), error: z.string().max(2000).optional(), 'current-progress': z.int(), 'total-progress': z.int(),
})).max(1000);
const lookEveryMs = 30;
const endLimitMs = 20_000;

export interface Jobs { readonly monitor: Monitor; readonly clock: Clock }

export const jobsOf = async (monitor: Monitor) => jobsSchema.parse(await monitor.execute('query-jobs'));
const jobOf = async (monitor: Monitor, id: string) => (await jobsOf(monitor)).find((job) => job.id === id);

export interface JobWait {
  /** In the words of a person: 'the disk data could not be copied'. */
  readonly failed: string;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((fraction: number) => void) | undefined;
  /** Told once, of a job that goes on until it is told to end. */
  readonly ready?: () => Promise<unknown>;
  /** It is gone when it has ended, however it ended. */
  readonly forgetsItself?: boolean;
}

/** Returns when it has done its work; it is still to be dismissed. @throws StrataError `disk.jobFailed` */
export async function awaitJob({ monitor, clock }: Jobs, id: string, { failed, signal, progress, ready, forgetsItself }: JobWait): Promise<void> {
  let told = false;
  for (;;) {
    signal?.throwIfAborted();
    const job = await jobOf(monitor, id);
    if (job === undefined && forgetsItself === true) return;
    if (job === undefined || job.error !== undefined) throw new StrataError(`${failed}: ${job?.error ?? 'it was ended'}`, { code: 'disk.jobFailed', kind: 'unavailable', advice: 'see whether the host\'s disk is full' });
    if (job.status === 'concluded') return;
    if (job['total-progress'] > 0) progress?.(Math.min(1, job['current-progress'] / job['total-progress']));
    // Once only: a job that is ending already would be broken off by a second word, or refuse it.
    if (job.status === 'ready' && !told) {
      told = true;
      await ready?.();
    }
    await clock.wait(lookEveryMs, signal);
  }
}

/** Ends it where it runs, and forgets it. Idempotent. */
export async function endJob({ monitor, clock }: Jobs, id: string): Promise<void> {
  const until = clock.monotonic() + endLimitMs;
  for (let job = await jobOf(monitor, id); job !== undefined; job = await jobOf(monitor, id)) {
    if (job.status === 'concluded') await monitor.execute('job-dismiss', { id });
    else await monitor.execute('job-cancel', { id }).catch(() => undefined); // it ends already
    if (clock.monotonic() > until) throw new StrataError(`the work ${id} on a disk does not end`, { code: 'disk.jobFailed', kind: 'timeout' });
    await clock.wait(5);
  }
}
