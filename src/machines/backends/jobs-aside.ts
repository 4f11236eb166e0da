/**
 * Keeps the jobs of a carrier out of the way of what concerns all of its VMM. QEMU (7.2) ends with a failed assertion where a
 * job writes while its devices' state is written down, and refuses to put a layer on a disk into which one is being pulled.
 */
import { StrataError } from '#base';
import { endJob, jobsOf, type Jobs } from './disk-jobs.ts';

/** Ids of jobs begin so; no serial has an underscore. */
export const jobKinds = { copy: 'copy', pull: 'pull', merge: 'merge' } as const;

export interface JobsAside {
  /** No job does anything while this is done: merges stand still, pulls are ended and may be begun again. @throws StrataError `disk.busy` where a disk is being copied */
  aside<T>(work: () => Promise<T>): Promise<T>;
  /** Before a disk goes, or all of them; without a serial: all. */
  endMerges(serial?: string): Promise<void>;
}

export interface Begins {
  /** Does what begins a job, or ends one, while nothing else does, and no work that jobs stand aside for. */
  begin<T>(work: () => Promise<T>): Promise<T>;
  /** Whether a job was ended for such work; said once. */
  gaveWay(id: string): boolean;
}

/** So long a merge may take to stand still; after that it is ended. */
const stillLimitMs = 500;
const lookEveryMs = 2;

/** @param isOurs whether this daemon goes on with the merge of a disk */
export function jobsAside(carrier: Jobs, isOurs: (serial: string) => boolean): JobsAside & Begins {
  const { monitor, clock } = carrier;
  let tail: Promise<unknown> = Promise.resolve();
  const ended = new Set<string>();
  const begin = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = tail.then(work, work);
    tail = mine.catch(() => undefined);
    return mine;
  };
  const jobs = async () => (await jobsOf(monitor)).flatMap(({ id, status }) => {
    const [, kind, serial] = /^(copy|pull|merge)_(.+)$/.exec(id) ?? [];
    return kind === undefined || serial === undefined || status === 'concluded' ? [] : [{ id, kind, serial, status }];
  });

  async function quieten(): Promise<void> {
    const until = clock.monotonic() + stillLimitMs;
    const told = new Set<string>(); // one that only waits for a moment says that it is paused, too
    for (;;) {
      const going = (await jobs()).filter((one) => one.status !== 'paused' || !told.has(one.id));
      const copied = going.find((one) => one.kind === 'copy');
      if (copied !== undefined) throw new StrataError(`the disk ${copied.serial} is being copied`, { code: 'disk.busy', kind: 'conflict', advice: 'wait for its end; `strata operation ls` shows it' });
      if (going.length === 0) return;
      for (const { id, kind, serial } of going) {
        if (kind !== 'merge' || !isOurs(serial) || clock.monotonic() >= until) {
          ended.add(id);
          await endJob(carrier, id);
        }
        else if (!told.has(id)) await monitor.execute('job-pause', { id }).then(() => { told.add(id); }, () => undefined); // it ends already
      }
      await clock.wait(lookEveryMs);
    }
  }

  return {
    begin, gaveWay: (id) => ended.delete(id),
    aside: (work) => begin(async () => {
      try {
        await quieten();
        return await work();
      } finally {
        for (const { id, kind, status } of await jobs().catch(() => [])) if (kind === 'merge' && status === 'paused') await monitor.execute('job-resume', { id }).catch(() => undefined);
      }
    }),
    async endMerges(serial) {
      for (const one of await jobs()) if (one.kind !== 'copy' && (serial ?? one.serial) === one.serial) await endJob(carrier, one.id);
    },
  };
}
