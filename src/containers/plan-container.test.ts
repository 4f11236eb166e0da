/** What one container needs next, as a table. */
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { GuestContainerState } from '#guest-protocol';
import type { ContainerSpec, ContainerStatus } from './container.ts';
import { planContainer, type ContainerObserved } from './plan-container.ts';

const guestSpec = { digest: 'd1', restart: { policy: 'unless-stopped' } } as unknown as ContainerSpec['guest'];
const spec = (changes: Partial<ContainerSpec> = {}): ContainerSpec => ({
  id: 'c1', name: 'shop-web-1', appId: 'a', appName: 'shop', service: 'web', index: 1, machineId: 'm1', image: { digest: 'sha256:1', architecture: 'x86_64', reference: 'web' }, volumeIds: [], address: '10.88.1.1',
  configDigest: '', guest: guestSpec, wanted: 'running', draining: false, drainingSince: null, createdAt: 0, generation: 1, ...changes,
});
const state = (changes: Partial<GuestContainerState> = {}): GuestContainerState => ({
  id: 'c1', digest: 'd1', phase: 'running', pid: 9, startedAtMs: 1, finishedAtMs: 0, exitCode: -1, oomKilled: false, restarts: 0, health: 'none', lastProbe: null, error: '', ...changes,
});
const status = (changes: Partial<ContainerStatus> = {}): ContainerStatus => ({
  id: 'c1', machineId: 'm1', phase: 'running', why: '', digest: 'd1', health: 'none', pid: 9, startedAt: 1, finishedAt: null, exitCode: null, oomKilled: false, stopped: false, restarts: 0, lastProbe: null, writes: [], guestBootId: 'b', ...changes,
});
const seen = (guest: ContainerObserved['guest'], phase: string | undefined = 'running'): ContainerObserved => ({ machine: phase === undefined ? undefined : { phase, why: '', guestBootId: phase === 'running' ? 'b' : null }, guest });
const kinds = (wish: ContainerSpec | undefined, before: ContainerStatus | undefined, observed: ContainerObserved) => planContainer('c1', wish, before, observed).operations.map((one) => one.kind.slice('container.'.length));
const waits = (wish: ContainerSpec | undefined, before: ContainerStatus | undefined, observed: ContainerObserved) => planContainer('c1', wish, before, observed).waitingOn.map((one) => one.why);

test('[K4] no start without a machine that runs and a guest that answers; the reason is told', () => {
  deepEqual(waits(spec(), undefined, { machine: undefined, guest: 'unreachable' }), ['its machine does not exist']);
  deepEqual(waits(spec(), undefined, seen('unreachable', 'starting')), ['its machine starts']);
  deepEqual(waits(spec(), undefined, seen('unreachable', 'defined')), ['its machine starts']);
  deepEqual(waits(spec(), undefined, seen('unreachable', 'stopped')), ['its machine is stopped']);
  deepEqual(waits(spec(), undefined, seen('unreachable')), ['the agent of its machine does not answer']);
  deepEqual(kinds(spec(), undefined, seen('unreachable')), []);
});

test('[K18] a clone goes on from what came with its machine, else it is started and says why; strays go first', () => {
  const clone = spec({ origin: { way: 'clone', from: 'c0', command: null } });
  const plan = (wish: ContainerSpec | undefined, guest: ContainerObserved['guest'], strays: readonly string[], startedWhy = '', before?: ContainerStatus) => planContainer('c1', wish, before, { ...seen(guest), machine: { phase: 'running', why: '', guestBootId: 'b', startedWhy }, strays })
    .operations.map((one) => [one.kind.slice('container.'.length), one.kind === 'container.start' ? one.insteadOfClone : one.kind === 'container.removeStray' ? one.stray : undefined].filter((word) => word !== undefined).join(' '));
  deepEqual(plan(clone, 'absent', ['c0']), ['goOn']);
  deepEqual(plan(clone, 'absent', [], 'its memory was damaged'), ['start its memory was damaged']);
  deepEqual(plan(clone, 'absent', ['c7']), ['removeStray c7', 'start its machine booted, instead of going on from a template']);
  deepEqual(plan(clone, state(), ['c0']), [], 'it runs already');
  deepEqual(plan(spec({ origin: { way: 'start', why: 'the first' } }), 'absent', ['c0']), ['removeStray c0', 'start']);
  deepEqual(plan(undefined, 'absent', ['c0'], '', status()), ['removeStray c0', 'remove', 'releaseDisks', 'forget']);
});

test('[K5] started where it is absent or another, left alone where it runs, stopped where that is wished', () => {
  deepEqual(kinds(spec(), undefined, seen('absent')), ['start']);
  deepEqual(kinds(spec(), status(), seen(state())), []);
  deepEqual(kinds(spec(), status(), seen(state({ digest: 'd0' }))), ['start']);
  deepEqual(kinds(spec(), status(), seen(state({ phase: 'exited', exitCode: 1 }))), [], 'the agent restarts by itself');
  deepEqual(kinds(spec(), status(), seen(state({ phase: 'exited', exitCode: 125, error: 'crun: no' }))), ['start']);
  deepEqual(kinds(spec(), status({ phase: 'exited', exitCode: 143, stopped: true }), seen(state({ phase: 'exited', exitCode: 143 }))), ['start'], 'it was stopped by wish');
  for (const phase of ['running', 'waiting', 'stopping'] as const) deepEqual(kinds(spec({ wanted: 'stopped' }), status(), seen(state({ phase }))), ['stop']);
  deepEqual(kinds(spec({ wanted: 'stopped' }), status(), seen('absent')), []);
});

test('[K19] not started while another writes to a volume of it; what runs already is left alone', () => {
  const beside = { ...seen('absent'), writersBeside: [{ id: 'c0', name: 'shop-old-1' }] };
  deepEqual([kinds(spec(), undefined, beside), waits(spec(), undefined, beside)], [[], ['a volume of it is still written by shop-old-1']]);
  deepEqual(waits(spec(), undefined, { ...beside, writersBeside: [{ id: 'c0', name: undefined }] }), ['a volume of it is still written by container c0, which is being removed']);
  deepEqual(waits(spec(), status(), { ...beside, guest: state() }), []);
  deepEqual(kinds(spec({ wanted: 'stopped' }), status(), { ...beside, guest: state() }), ['stop']);
  deepEqual(kinds(undefined, status(), { ...beside, guest: state() }), ['remove', 'releaseDisks', 'forget']);
});

test('[K6] a job that has done its work is not run again after a boot; what shall always run is', () => {
  const job = (policy: 'no' | 'on-failure') => spec({ guest: { ...guestSpec, restart: { policy } } });
  const done = status({ phase: 'exited', exitCode: 0 });
  deepEqual(kinds(job('no'), done, seen('absent')), []);
  deepEqual(kinds(job('on-failure'), done, seen('absent')), []);
  deepEqual(kinds(job('on-failure'), { ...done, exitCode: 3 }, seen('absent')), ['start']);
  deepEqual(kinds(spec(), done, seen('absent')), ['start']);
  deepEqual(kinds(job('no'), { ...done, digest: 'd0' }, seen('absent')), ['start'], 'it was another job');
  deepEqual(kinds(job('no'), { ...done, exitCode: 143, stopped: true }, seen('absent')), ['start'], 'it was stopped before it was done');
});

test('[K7] removed from the guest before it is forgotten; not forgotten while the guest cannot be asked', () => {
  deepEqual(kinds(undefined, status(), seen(state())), ['remove', 'releaseDisks', 'forget']);
  deepEqual(kinds(undefined, status(), seen('absent')), ['remove', 'releaseDisks', 'forget']);
  deepEqual(kinds(undefined, status(), seen('unreachable')), []);
  deepEqual(kinds(undefined, status(), seen('unreachable', 'unknown')), []);
  for (const phase of ['stopped', 'failed', 'defined'] as const) deepEqual(kinds(undefined, status(), seen('unreachable', phase)), ['forget']);
  deepEqual(kinds(undefined, status(), { machine: undefined, guest: 'unreachable' }), ['forget']);
  deepEqual(kinds(undefined, undefined, seen('absent')), []);
});
