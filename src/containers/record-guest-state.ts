/**
 * Writes container statuses. The one writer of `container-status/`, one write at a time for each container,
 * and only when something changed, so that a chatty guest does not become a chatty store.
 */
import type { GuestContainerState } from '#guest-protocol';
import type { Records } from '#store';
import { volumesWritten, type ContainerSpec, type ContainerStatus } from './container.ts';
import { canonicalJson } from './build-guest-spec.ts';
import { statusOfGuestState } from './status-of-guest-state.ts';

export interface StatusRecorder {
  /** What the guest said of it. */
  record(spec: ContainerSpec, guestBootId: string, state: GuestContainerState): Promise<void>;
  starting(spec: ContainerSpec, guestBootId: string): Promise<void>;
  /** It was to go on as a clone, and is started as ever. */
  startsInstead(spec: ContainerSpec, why: string): Promise<void>;
  /** Whatever ends `work`, also this daemon's death: if the container has been stopped in it, it is known as stopped by wish, and a wish to run starts it. */
  whileRestarting(id: string, work: () => Promise<void>): Promise<void>;
  /** Not handed to a guest: its machine is not up. */
  pending(spec: ContainerSpec, why: string): Promise<void>;
  /** It ran when last seen and cannot be asked now. */
  unknown(spec: ContainerSpec, why: string): Promise<void>;
  failed(spec: ContainerSpec, why: string): Promise<void>;
  /** Its machine ended under it, and it is not wished back. */
  ended(spec: ContainerSpec): Promise<void>;
  forget(id: string): Promise<void>;
}

export function statusRecorder(statuses: Records<ContainerStatus>): StatusRecorder {
  const queues = new Map<string, Promise<void>>();
  /** The run that is being stopped, by its start. */
  const restarting = new Map<string, number | null>();

  function serially(id: string, work: () => Promise<void>): Promise<void> {
    const next = (queues.get(id) ?? Promise.resolve()).then(work, work);
    const settled = next.then(() => undefined, () => undefined).then(() => { if (queues.get(id) === settled) queues.delete(id); });
    queues.set(id, settled);
    return next;
  }

  const write = (id: string, change: (before: ContainerStatus | undefined) => ContainerStatus) => serially(id, async () => {
    const before = (await statuses.get(id))?.value;
    const after = change(before);
    if (before === undefined || canonicalJson(before) !== canonicalJson(after)) await statuses.put(id, after);
  });

  return {
    record: (spec, guestBootId, state) => write(state.id, (before) => {
      const status = statusOfGuestState(state, spec, guestBootId);
      return { ...status, ...startedBy(before, status), stopped: endsByWish(before, status, spec.wanted === 'stopped', state.error !== '') || (restarting.has(state.id) && restarting.get(state.id) === status.startedAt) };
    }),
    // That it was stopped by wish is forgotten only once the guest says it runs: a start that breaks off is begun again.
    starting: (spec, guestBootId) => write(spec.id, (before) => {
      const wished = before?.stopped === true && before.digest === spec.guest.digest ? { stopped: true, startedAt: before.startedAt } : {};
      // Where an attempt has failed, that is why it starts still.
      const why = before?.phase === 'starting' && before.digest === spec.guest.digest ? before.why : '';
      return { ...blank(spec), restarts: before?.restarts ?? 0, phase: 'starting', why, guestBootId, ...wished, startedBy: { way: 'start', why: before?.digest === spec.guest.digest ? before.startedBy?.why ?? whyOf(spec) : whyOf(spec) } };
    }),
    startsInstead: (spec, why) => write(spec.id, (before) => ({ ...(before ?? blank(spec)), startedBy: { way: 'start', why: why.slice(0, 1000) } })),
    async whileRestarting(id, work) {
      try {
        // Before it is stopped: a later daemon that finds it ended reads this.
        await serially(id, async () => {
          const before = await statuses.update(id, (seen) => (seen === undefined ? seen : { ...seen, stopped: true }));
          restarting.set(id, before?.startedAt ?? null);
        });
        await work();
      } finally {
        restarting.delete(id);
      }
    },
    pending: (spec, why) => write(spec.id, () => ({ ...blank(spec), why })),
    unknown: (spec, why) => write(spec.id, (before) => ({ ...(before ?? blank(spec)), phase: 'unknown', why })),
    failed: (spec, why) => write(spec.id, (before) => ({ ...(before ?? blank(spec)), why: why.slice(0, 1000) })),
    ended: (spec) => write(spec.id, (before) => ({ ...(before ?? blank(spec)), phase: 'exited', why: 'it ended with its machine', health: 'none', pid: 0, stopped: true })),
    forget: (id) => serially(id, async () => { await statuses.delete(id); }),
  };
}

/** It ended, and that was wished: now, or before it was last seen ended in that same run. */
function endsByWish(before: ContainerStatus | undefined, status: ContainerStatus, stopped: boolean, couldNotStart: boolean): boolean {
  if (status.phase !== 'exited') return false;
  return stopped || (before?.stopped === true && before.digest === status.digest && before.startedAt === status.startedAt && !couldNotStart);
}

const whyOf = ({ origin }: ContainerSpec): string => (origin?.way === 'start' ? origin.why : '');

/** The guest does not know why it was asked to start it. */
function startedBy(before: ContainerStatus | undefined, status: ContainerStatus): Pick<ContainerStatus, 'startedBy'> {
  if (status.startedBy?.way === 'clone' || before?.startedBy?.way !== 'start' || before.digest !== status.digest) return {};
  return { startedBy: before.startedBy };
}

function blank(spec: ContainerSpec): ContainerStatus {
  return {
    id: spec.id, machineId: spec.machineId, phase: 'pending', why: '', digest: spec.guest.digest, health: 'none', pid: 0, startedAt: null, finishedAt: null,
    exitCode: null, oomKilled: false, stopped: false, restarts: 0, lastProbe: null, writes: [...volumesWritten(spec)], guestBootId: '',
  };
}
