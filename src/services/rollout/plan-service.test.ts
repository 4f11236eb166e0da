/** Rules V1–V7 of the services layer: what one service's containers need next. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sampleContainer, sampleStatus } from '../testing/sample-app.ts';
import { planService, type ServiceView } from './plan-service.ts';

type Members = ServiceView['containers'];
const view = (containers: Members, changes: Partial<ServiceView> = {}): ServiceView => ({
  service: 'web', replicas: 2, configDigest: 'wish-web', stopFirst: false, containers, sessions: new Map(), drainLimitMs: 10_000, now: 100_000, ...changes,
});
const running = (index: number, changes: Parameters<typeof sampleContainer>[2] = {}) => {
  const spec = sampleContainer('web', index, changes);
  return { spec, status: sampleStatus(spec) };
};
const stale = (index: number) => running(index, { id: `old${index}`, configDigest: 'before' });

test('[V1] an empty slot gets a container', () => {
  assert.deepEqual(planService(view([])).steps, [{ kind: 'create', index: 1 }, { kind: 'create', index: 2 }]);
});

test('[V1] a service that is as wished needs nothing', () => {
  assert.deepEqual(planService(view([running(1), running(2)])), { steps: [], waitingOn: [] });
});

test('[V2] a changed replica is replaced start-first, one slot at a time', () => {
  const plan = planService(view([stale(1), stale(2)]));
  assert.deepEqual(plan.steps, [{ kind: 'create', index: 1 }]);
  assert.equal(plan.waitingOn[0]?.subject, 'web-2');
});

test('[V2] the old replica drains only once the new one is ready', () => {
  const fresh = sampleContainer('web', 1);
  const starting = { spec: fresh, status: sampleStatus(fresh, { health: 'starting' }) };
  assert.deepEqual(planService(view([stale(1), starting, stale(2)])).steps, []);
  assert.deepEqual(planService(view([stale(1), running(1), stale(2)])).steps.map((step) => step.kind === 'drain' && step.id), ['old1', false]);
});

test('[V3] a replica with a volume is replaced stop-first', () => {
  const changed = view([stale(1)], { replicas: 1, stopFirst: true });
  assert.deepEqual(planService(changed).steps.map((step) => step.kind), ['drain']);
  const draining = running(1, { id: 'old1', configDigest: 'before', draining: true, drainingSince: 99_900 });
  assert.deepEqual(planService({ ...changed, containers: [draining] }).steps, [], 'the successor waits until the old one is gone');
  assert.deepEqual(planService({ ...changed, containers: [] }).steps, [{ kind: 'create', index: 1 }]);
});

test('[V4] replicas above the wished number drain', () => {
  assert.deepEqual(planService(view([running(1), running(2), running(3)])).steps.map((step) => step.kind === 'drain' && step.id), ['cweb3']);
});

test('[V5] a draining replica goes when its connections have ended, or at the limit', () => {
  const one = running(3, { draining: true, drainingSince: 95_000 });
  const all = [running(1), running(2), one];
  assert.deepEqual(planService(view(all)).steps, [{ kind: 'remove', id: 'cweb3', why: 'it has drained' }]);
  const busy = planService(view(all, { sessions: new Map([['cweb3', 2]]) }));
  assert.deepEqual(busy.steps, []);
  assert.ok((busy.againAfterMs ?? 0) > 0);
  assert.equal(planService(view(all, { sessions: new Map([['cweb3', 2]]), now: 105_000 })).steps.length, 1);
});

test('[V6] one slot never keeps two fresh replicas', () => {
  const plan = planService(view([running(1), running(1, { id: 'twin', createdAt: 5 }), running(2)]));
  assert.deepEqual(plan.steps.map((step) => step.kind === 'drain' && step.id), ['twin']);
});

test('[V7] whatever is there, carrying out the plan again and again reaches the wish, never with two writers', () => {
  const slot = fc.record({ index: fc.integer({ min: 1, max: 4 }), fresh: fc.boolean(), phase: fc.constantFrom('running' as const, 'exited' as const, 'pending' as const), draining: fc.boolean() });
  fc.assert(fc.property(fc.array(slot, { maxLength: 8 }), fc.integer({ min: 0, max: 3 }), fc.boolean(), (found, replicas, stopFirst) => {
    let now = 100_000;
    let count = 0;
    let members: Members = found.map((one) => {
      count += 1;
      const spec = sampleContainer('web', one.index, { id: `x${count}`, configDigest: one.fresh ? 'wish-web' : 'before', draining: one.draining, drainingSince: one.draining ? now : null, createdAt: count });
      return { spec, status: sampleStatus(spec, { phase: one.phase, exitCode: one.phase === 'exited' ? 1 : null }) };
    });
    for (let round = 0; round < 60; round += 1) {
      now += 1_000;
      const plan = planService(view(members, { replicas, stopFirst, now }));
      for (const step of plan.steps) {
        if (step.kind === 'remove') members = members.filter((one) => one.spec.id !== step.id);
        else if (step.kind === 'drain') members = members.map((one) => (one.spec.id === step.id ? { ...one, spec: { ...one.spec, draining: true, drainingSince: now } } : one));
        else {
          count += 1;
          const spec = sampleContainer('web', step.index, { id: `x${count}`, createdAt: count });
          if (stopFirst) assert.ok(members.every((one) => one.spec.index !== step.index), 'two writers of one volume');
          members = [...members, { spec, status: sampleStatus(spec) }];
        }
      }
      // The world settles: what was wished to run runs.
      members = members.map((one) => (one.spec.draining ? one : { ...one, status: sampleStatus(one.spec) }));
    }
    assert.deepEqual(members.map((one) => [one.spec.index, one.spec.configDigest]).sort(), Array.from({ length: replicas }, (_, at) => [at + 1, 'wish-web']));
  }));
});
