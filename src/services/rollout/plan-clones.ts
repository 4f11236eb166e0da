/**
 * Decides how the replicas of a service that allows it (`x-strata: {start: clone}`) come to run. Pure.
 *
 *   no replica yet                    ─► the first one starts as ever; the others wait for it
 *   one is ready, alone in its machine ─► its machine is copied, memory and all: the service's template
 *   the template is there             ─► the others go on from it, each in a machine of its own
 *   anything else                     ─► they start as ever, and it is told why
 *
 * A replica whose machine is there already starts in it as ever: only a new machine can go on from a template.
 */
import type { ContainerSpec, ContainerStatus } from '#containers';
import type { MachineSpec } from '#machines';
import type { ServiceTemplate } from '../app-record.ts';
import { isSettled } from './plan-service.ts';

export interface CloneView {
  readonly service: string;
  readonly configDigest: string;
  /** Those of this service that do not drain, of whatever configuration. */
  readonly members: readonly Member[];
  /** How many containers a machine carries. */
  carried(machineId: string): number;
  /** The replica's own machine, where there is one already. */
  machineOf(index: number): MachineSpec | undefined;
  readonly machines: ReadonlySet<string>;
  readonly template: { readonly record: ServiceTemplate; readonly misfit: string | undefined } | undefined;
  /** Replicas that are to be made now. */
  readonly creations: readonly number[];
  readonly now: number;
}

type Member = { readonly spec: ContainerSpec; readonly status: ContainerStatus | undefined };

export type ReplicaOrigin =
  | { readonly way: 'start'; readonly why: string }
  | { readonly way: 'clone'; readonly machineId: string; readonly snapshotId: string; readonly containerId: string };

export interface ClonePlan {
  readonly starts: readonly { readonly index: number; readonly origin: ReplicaOrigin }[];
  /** Of this replica a template is to be made, or finished. */
  readonly take: ContainerSpec | undefined;
  /** Why the template goes; undefined: it stays. Where it was to be used and cannot be, that is kept for a while. */
  readonly drop: string | undefined;
  readonly waitingOn: readonly { readonly kind: string; readonly subject: string; readonly why: string }[];
  readonly againAfterMs?: number;
}

/** For the first replica to become ready; after that the others start as ever. */
export const firstReadyLimitMs = 300_000;
/** A template that could not be made is tried again for replicas that are wished later than this. */
export const triedLimitMs = 60_000;

const unusable = (misfit: string): string => `its template cannot be used: ${misfit}`;

export function planClones(view: CloneView): ClonePlan {
  const drop = dropWhy(view);
  const template = drop === undefined ? view.template?.record : undefined;
  const there = view.creations.filter((index) => view.machineOf(index) !== undefined);
  const open = view.creations.filter((index) => view.machineOf(index) === undefined);
  const placed = there.map((index) => ({ index, origin: originIn(view, view.machineOf(index), view.template?.record) }));
  const rest = planOpen(view, template, open, there[0]);
  return { take: rest.take, drop, starts: [...placed, ...rest.starts], waitingOn: rest.waitingOn, ...(rest.againAfterMs === undefined ? {} : { againAfterMs: rest.againAfterMs }) };
}

function dropWhy({ template, configDigest, machines, members, creations, now }: CloneView): string | undefined {
  if (template === undefined) return undefined;
  const { record, misfit } = template;
  if (record.configDigest !== configDigest) return 'the service is wished otherwise now';
  if (!machines.has(record.machineId)) return 'the machine it was made of is gone';
  if (record.state === 'taking' && !members.some((one) => one.spec.id === record.containerId)) return 'the replica it was to be made of is gone';
  if (record.state === 'ready' && misfit !== undefined) return unusable(misfit);
  return record.state === 'failed' && creations.length > 0 && now - record.triedAt >= triedLimitMs ? 'making it is tried again' : undefined;
}

/** In a machine that was made to go on from the template, its container does so too. */
function originIn(view: CloneView, machine: MachineSpec | undefined, template: ServiceTemplate | undefined): ReplicaOrigin {
  if (machine === undefined || view.carried(machine.id) > 0) return { way: 'start', why: 'its machine was there already' };
  if (machine.from !== undefined && template?.snapshotId === machine.from.snapshotId) return { way: 'clone', ...machine.from, containerId: template.containerId };
  if (machine.from !== undefined) return { way: 'start', why: 'the template that its machine goes on from is gone' };
  if (template?.state === 'failed') return { way: 'start', why: template.why };
  return { way: 'start', why: freshOf(view).length === 0 ? theFirst : noneReady };
}

const theFirst = 'it is the first of its replicas';
const noneReady = 'no replica of the service could be copied: none was ready, and alone in its machine';

const freshOf = (view: CloneView): readonly Member[] => view.members.filter((one) => one.spec.configDigest === view.configDigest).toSorted((a, b) => a.spec.index - b.spec.index);

type Open = Pick<ClonePlan, 'starts' | 'take' | 'waitingOn' | 'againAfterMs'>;

function planOpen(view: CloneView, template: ServiceTemplate | undefined, open: readonly number[], begun: number | undefined): Open {
  const fresh = freshOf(view);
  const all = (origin: ReplicaOrigin): Open => ({ starts: open.map((index) => ({ index, origin })), take: undefined, waitingOn: [] });
  const made = template?.state === 'taking' ? fresh.find((one) => one.spec.id === template.containerId)?.spec : undefined;
  if (open.length === 0) return { starts: [], take: made, waitingOn: [] };
  if (template?.state === 'ready') return all({ way: 'clone', machineId: template.machineId, snapshotId: template.snapshotId, containerId: template.containerId });
  if (template?.state === 'failed') return all({ way: 'start', why: template.why });
  if (view.template?.misfit !== undefined) return all({ way: 'start', why: unusable(view.template.misfit) });
  if (fresh.length === 0) {
    const first = begun ?? open[0] ?? 1;
    return { starts: begun === undefined ? [{ index: first, origin: { way: 'start', why: theFirst } }] : [], take: undefined, waitingOn: open.filter((index) => index !== first).map((index) => waits(view, index, `${view.service}-${first}`)) };
  }
  const source = made ?? fresh.find((one) => isSettled(one) && one.status?.phase === 'running' && view.carried(one.spec.machineId) === 1)?.spec;
  if (source !== undefined) return { starts: [], take: source, waitingOn: open.map((index) => ({ kind: 'template', subject: `${view.service}-${index}`, why: `a template is made of ${view.service}-${source.index}` })) };
  return awaitFirst(view, fresh, open, all);
}

/** One that starts well is waited for, up to a limit. */
function awaitFirst(view: CloneView, fresh: readonly Member[], open: readonly number[], all: (origin: ReplicaOrigin) => Open): Open {
  const coming = fresh.find((one) => view.carried(one.spec.machineId) === 1 && comes(one));
  if (coming === undefined) return all({ way: 'start', why: noneReady });
  const left = coming.spec.createdAt + firstReadyLimitMs - view.now;
  if (left <= 0) return all({ way: 'start', why: `${view.service}-${coming.spec.index} was not ready within ${firstReadyLimitMs / 1000} s` });
  return { starts: [], take: undefined, waitingOn: open.map((index) => waits(view, index, `${view.service}-${coming.spec.index}`, coming.status?.why)), againAfterMs: left };
}

function comes({ status }: Member): boolean {
  if (status === undefined) return true;
  return ['pending', 'starting', 'running'].includes(status.phase) && status.health !== 'unhealthy' && status.restarts === 0;
}

/** @param firstWaits why the first is not ready, where that is known: it is what everybody waits for */
function waits({ service }: CloneView, index: number, first: string, firstWaits = '') {
  return { kind: 'template', subject: `${service}-${index}`, why: `it goes on from a copy of ${first}, which is not ready yet${firstWaits === '' ? '' : `: ${firstWaits}`}` };
}
