/** How replicas that may be clones come to run, as a table. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerSpec, ContainerStatus } from '#containers';
import type { MachineSpec } from '#machines';
import type { ServiceTemplate } from '../app-record.ts';
import { firstReadyLimitMs, planClones, triedLimitMs, type CloneView } from './plan-clones.ts';

const member = (index: number, status: Partial<ContainerStatus> | null = {}, more: Partial<ContainerSpec> = {}): CloneView['members'][number] => ({
  spec: { id: `c${index}`, index, machineId: `m${index}`, configDigest: 'now', createdAt: 0, guest: { digest: 'd', restart: { policy: 'always' } }, ...more } as unknown as ContainerSpec,
  status: status === null ? undefined : { phase: 'running', health: 'healthy', digest: 'd', restarts: 0, ...status } as ContainerStatus,
});
const template = (more: Partial<ServiceTemplate> = {}, misfit?: string): CloneView['template'] => ({
  record: { appId: 'a', service: 'web', configDigest: 'now', containerId: 'c1', machineId: 'm1', snapshotId: 'k1', state: 'ready', why: '', triedAt: 0, ...more }, misfit,
});
const view = (more: Partial<CloneView>): CloneView => ({
  service: 'web', configDigest: 'now', members: [], carried: () => 1, machineOf: () => undefined, machines: new Set(['m1', 'm2', 'm3']), template: undefined, creations: [], now: 0, ...more,
});
const told = (more: Partial<CloneView>) => {
  const { starts, take, drop, waitingOn } = planClones(view(more));
  return { starts: starts.map(({ index, origin }) => `${index} ${origin.way}`), take: take?.id, drop, waits: waitingOn.map((one) => one.subject) };
};
const nothing = { starts: [], take: undefined, drop: undefined, waits: [] };

test('[V40] the first starts and the others wait for it; of one that is ready a template is made, once; with it they are clones', () => {
  deepEqual(told({ creations: [1, 2, 3] }), { ...nothing, starts: ['1 start'], waits: ['web-2', 'web-3'] });
  for (const status of [null, { phase: 'starting' as const }, { health: 'starting' as const }]) deepEqual(told({ creations: [2, 3], members: [member(1, status)] }), { ...nothing, waits: ['web-2', 'web-3'] });
  deepEqual(planClones(view({ creations: [2], members: [member(1, { phase: 'pending', why: 'its disk is in use' })] })).waitingOn.map((one) => one.why), ['it goes on from a copy of web-1, which is not ready yet: its disk is in use']);
  deepEqual(told({ creations: [2], members: [member(1)] }), { ...nothing, take: 'c1', waits: ['web-2'] });
  deepEqual(told({ members: [member(1), member(2)] }), nothing, 'nobody wants one');
  deepEqual(told({ creations: [1, 2, 3], machineOf: (index) => (index === 1 ? { id: 'm1' } as unknown as MachineSpec : undefined) }), { ...nothing, starts: ['1 start'], waits: ['web-2', 'web-3'] }, 'its machine was made ahead');
  deepEqual(told({ creations: [2, 3], members: [member(1)], template: template() }), { ...nothing, starts: ['2 clone', '3 clone'] });
  deepEqual(told({ creations: [2], members: [member(1)], carried: () => 2 }), { ...nothing, starts: ['2 start'] }, 'it is not alone in its machine');
});

test('[V43] a template that a daemon did not finish is finished, also where nobody waits for it any more', () => {
  deepEqual(told({ creations: [2], members: [member(1)], template: template({ state: 'taking' }) }), { ...nothing, take: 'c1', waits: ['web-2'] });
  deepEqual(told({ members: [member(1)], template: template({ state: 'taking' }) }), { ...nothing, take: 'c1' });
});

test('[V41] in a machine that was there a replica starts; in one made as a clone it goes on, unless the template has gone', () => {
  deepEqual(planClones(view({ creations: [2], members: [member(1)], template: template({ state: 'failed', why: 'no room' }), carried: () => 0, machineOf: () => ({ id: 'm2' }) as unknown as MachineSpec })).starts, [{ index: 2, origin: { way: 'start', why: 'no room' } }]);
  const machine = (from?: MachineSpec['from']) => () => ({ id: 'm2', from }) as unknown as MachineSpec;
  deepEqual(told({ creations: [2], members: [member(1)], template: template(), machineOf: machine() }), { ...nothing, starts: ['2 start'] });
  deepEqual(told({ creations: [2], members: [member(1)], template: template(), carried: () => 0, machineOf: machine({ machineId: 'm1', snapshotId: 'k1' }) }), { ...nothing, starts: ['2 clone'] });
  const [start] = planClones(view({ creations: [2], members: [member(1)], carried: () => 0, machineOf: machine({ machineId: 'm1', snapshotId: 'k0' }) })).starts;
  match(start?.origin.way === 'start' ? start.origin.why : '', /is gone/);
});

test('[V40] a template goes with what it was made of, and where it cannot be used', () => {
  equal(told({ template: template({ configDigest: 'before' }) }).drop, 'the service is wished otherwise now');
  equal(told({ template: template({ state: 'taking' }), members: [member(2)] }).drop, 'the replica it was to be made of is gone');
  equal(told({ template: template(), machines: new Set(['m2']) }).drop, 'the machine it was made of is gone');
  deepEqual(told({ creations: [2], members: [member(1)], template: template({}, 'another QEMU') }), { ...nothing, starts: ['2 start'], drop: 'its template cannot be used: another QEMU' });
});

test('[V42] nothing waits for a first replica that fails or takes too long; a template that failed is tried again only later', () => {
  for (const status of [{ health: 'unhealthy' as const }, { phase: 'exited' as const }, { phase: 'waiting' as const }, { phase: 'unknown' as const }, { health: 'starting' as const, restarts: 1 }]) deepEqual(told({ creations: [2], members: [member(1, status)] }), { ...nothing, starts: ['2 start'] }, JSON.stringify(status));
  deepEqual(told({ creations: [2], members: [member(1, { health: 'starting' })], now: firstReadyLimitMs }), { ...nothing, starts: ['2 start'] });
  equal(planClones(view({ creations: [2], members: [member(1, { health: 'starting' })], now: firstReadyLimitMs - 1000 })).againAfterMs, 1000);
  const failed = template({ state: 'failed', why: 'no room' });
  const [start] = planClones(view({ creations: [2], members: [member(1)], template: failed })).starts;
  equal(start?.origin.way === 'start' ? start.origin.why : '', 'no room');
  deepEqual(told({ creations: [2], members: [member(1)], template: failed, now: triedLimitMs }), { ...nothing, take: 'c1', waits: ['web-2'], drop: 'making it is tried again' });
  deepEqual(told({ members: [member(1)], template: failed, now: triedLimitMs }), nothing);
});
