/**
 * Decides what one service's containers need next. Pure: wished replicas, existing containers, now.
 *
 * A slot is one replica's number. A container is fresh when it was made from what is wished now, else
 * stale. Slots are replaced one at a time; a replica without a writable volume is replaced start-first (the
 * new one is ready before the old one drains), one with a volume stop-first (a volume has one writer).
 *
 *   empty slot                     ─► create
 *   stale only, start-first        ─► create beside it, when no other slot is in progress
 *   stale only, stop-first         ─► drain ─► remove ─► (empty slot)
 *   fresh ready + stale            ─► drain stale ─► remove
 *   number above the wished count  ─► drain ─► remove
 */
import type { ContainerSpec, ContainerStatus } from '#containers';

export interface ServiceView {
  readonly service: string;
  readonly replicas: number;
  readonly configDigest: string;
  readonly stopFirst: boolean;
  readonly containers: readonly { readonly spec: ContainerSpec; readonly status: ContainerStatus | undefined }[];
  /** Open connections through the gateway, by container id; absent means none known. */
  readonly sessions: ReadonlyMap<string, number>;
  /** How long a draining container may keep its open connections. */
  readonly drainLimitMs: number;
  readonly now: number;
}

export type ServiceStep =
  | { readonly kind: 'create'; readonly index: number }
  | { readonly kind: 'drain'; readonly id: string; readonly why: string }
  | { readonly kind: 'remove'; readonly id: string; readonly why: string };

export interface ServicePlan {
  readonly steps: readonly ServiceStep[];
  readonly waitingOn: readonly { readonly kind: string; readonly subject: string; readonly why: string }[];
  /** Milliseconds after which to look again although nothing changes. */
  readonly againAfterMs?: number;
}

type Member = ServiceView['containers'][number];
/** Balancers and keep-alive clients need a moment to notice that a replica drains. */
const settleMs = 300;

export function planService(view: ServiceView): ServicePlan {
  const steps: ServiceStep[] = [];
  const waitingOn: ServicePlan['waitingOn'][number][] = [];
  const draining = view.containers.filter((one) => one.spec.draining);
  let again: number | undefined;
  for (const one of draining) {
    const left = drainLeftMs(one, view);
    if (left <= 0) steps.push({ kind: 'remove', id: one.spec.id, why: 'it has drained' });
    else again = Math.min(again ?? left, left);
  }
  const active = view.containers.filter((one) => !one.spec.draining);
  for (const one of active.filter((member) => member.spec.index > view.replicas)) {
    steps.push({ kind: 'drain', id: one.spec.id, why: `only ${view.replicas} replicas are wished` });
  }
  let busy = draining.length > 0 || slots(view).some((index) => inProgress(active, index, view));
  for (const index of slots(view)) {
    const slot = active.filter((one) => one.spec.index === index);
    const outcome = planSlot(index, slot, draining, view, busy);
    steps.push(...outcome.steps);
    if (outcome.waitingOn !== undefined) waitingOn.push(outcome.waitingOn);
    busy ||= outcome.begins;
  }
  return { steps, waitingOn, ...(again === undefined ? {} : { againAfterMs: again }) };
}

function planSlot(index: number, slot: readonly Member[], draining: readonly Member[], view: ServiceView, busy: boolean): { steps: ServiceStep[]; waitingOn?: ServicePlan['waitingOn'][number]; begins: boolean } {
  const fresh = slot.filter((one) => isFresh(one, view)).sort(oldestFirst);
  const stale = slot.filter((one) => !isFresh(one, view));
  const [kept, ...doubles] = fresh;
  const steps: ServiceStep[] = doubles.map((one) => ({ kind: 'drain', id: one.spec.id, why: 'its slot is taken' }));
  if (kept !== undefined) {
    if (stale.length > 0 && isSettled(kept)) steps.push(...stale.map((one): ServiceStep => ({ kind: 'drain', id: one.spec.id, why: 'its successor is ready' })));
    return { steps, begins: false };
  }
  if (stale.length === 0) {
    const blocked = view.stopFirst && draining.some((one) => one.spec.index === index);
    return blocked ? { steps, begins: false } : { steps: [...steps, { kind: 'create', index }], begins: false };
  }
  if (busy) return { steps, waitingOn: { kind: 'rollout', subject: `${view.service}-${index}`, why: 'another replica of the service is being replaced' }, begins: false };
  if (view.stopFirst) return { steps: stale.map((one) => ({ kind: 'drain', id: one.spec.id, why: 'it is replaced, and its volume has one writer' })), begins: true };
  return { steps: [...steps, { kind: 'create', index }], begins: true };
}

function slots(view: ServiceView): number[] {
  return Array.from({ length: view.replicas }, (_, at) => at + 1);
}

/** A slot in which a successor exists but is not ready yet. */
function inProgress(active: readonly Member[], index: number, view: ServiceView): boolean {
  const slot = active.filter((one) => one.spec.index === index);
  return slot.some((one) => isFresh(one, view) && !isSettled(one)) && slot.some((one) => !isFresh(one, view));
}

function isFresh(one: Member, view: ServiceView): boolean {
  return one.spec.configDigest === view.configDigest;
}

/** Ready for traffic, or a job that has done its work. */
export function isSettled(one: Member): boolean {
  const status = one.status;
  if (status === undefined || status.digest !== one.spec.guest.digest) return false;
  if (status.phase === 'running') return status.health === 'none' || status.health === 'healthy';
  return status.phase === 'exited' && status.exitCode === 0 && one.spec.guest.restart.policy !== 'always' && one.spec.guest.restart.policy !== 'unless-stopped';
}

function drainLeftMs(one: Member, view: ServiceView): number {
  const since = one.spec.drainingSince ?? view.now;
  const passed = view.now - since;
  if (one.status?.phase !== 'running') return 0;
  if (passed >= view.drainLimitMs) return 0;
  if ((view.sessions.get(one.spec.id) ?? 0) === 0) return Math.max(0, settleMs - passed);
  return Math.min(500, view.drainLimitMs - passed);
}

function oldestFirst(a: Member, b: Member): number {
  return a.spec.createdAt - b.spec.createdAt || (a.spec.id < b.spec.id ? -1 : 1);
}
