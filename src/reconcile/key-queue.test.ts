/** The queue of keys against a plain model, for any order of wakes, takes and ends. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyQueue, pauseAfter } from './key-queue.ts';

const backOff = { firstMs: 100, maxMs: 1000 };
const keys = ['a', 'b', 'c'] as const;

const step = fc.oneof(
  fc.record({ kind: fc.constant('wake' as const), key: fc.constantFrom(...keys) }),
  fc.record({ kind: fc.constant('take' as const) }),
  fc.record({ kind: fc.constant('done' as const), failed: fc.boolean(), again: fc.option(fc.nat(500), { nil: undefined }) }),
  fc.record({ kind: fc.constant('pass' as const), ms: fc.nat(300) }),
);

test('[R1][R2] never two workers on a key, and every wake is followed by a look that began after it', () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
    const queue = keyQueue(backOff);
    const running: string[] = [];
    const owed = new Set<string>();
    let now = 0;
    const take = () => {
      const key = queue.take(now);
      if (key === undefined) return false;
      ok(!running.includes(key), `${key} runs already`);
      running.push(key);
      owed.delete(key);
      return true;
    };
    for (const one of steps) {
      if (one.kind === 'wake') { queue.wake(one.key, now); owed.add(one.key); }
      else if (one.kind === 'take') take();
      else if (one.kind === 'pass') now += one.ms;
      else {
        const key = running.shift();
        if (key !== undefined) queue.done(key, one.failed ? { failed: true } : { failed: false, againAfterMs: one.again }, now, 0.5);
      }
      equal(queue.running, running.length);
    }
    for (const key of running.splice(0)) queue.done(key, { failed: false }, now, 0);
    for (let guard = 0; owed.size > 0 && guard < 50; guard += 1) {
      now = Math.max(now, queue.nextDue() ?? now);
      if (take()) queue.done(running.shift() as string, { failed: false }, now, 0);
    }
    deepEqual([...owed], [], 'a wake was lost');
  }), { numRuns: 500 });
});

test('[R3] pauses double to the limit, jitter takes off a quarter at most', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 1000 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (failures, fraction) => {
    const pause = pauseAfter(backOff, failures, fraction);
    const whole = Math.min(1000, 100 * 2 ** Math.min(failures - 1, 30));
    return pause <= whole && pause >= Math.max(100, Math.floor(whole * 0.75));
  }));
});

test('[R3] a failed key waits its first pause whatever wakes it; success forgets failures', () => {
  const queue = keyQueue(backOff);
  queue.wake('a', 0);
  equal(queue.take(0), 'a');
  queue.done('a', { failed: true }, 10, 0);
  equal(queue.dueAt('a'), 110);
  queue.take(110);
  queue.done('a', { failed: true }, 110, 0);
  equal(queue.dueAt('a'), 310, 'the second pause is twice the first');
  ok(queue.wake('a', 150));
  equal(queue.dueAt('a'), 210, 'a wake brings it forward, not before the first pause');
  equal(queue.take(209), undefined);
  equal(queue.take(210), 'a');
  equal(queue.failures('a'), 2);
  queue.done('a', { failed: false }, 220, 0);
  deepEqual([queue.failures('a'), queue.dueAt('a'), queue.waiting], [0, undefined, 0]);
});

test('[R2] a wake while it runs makes it due at once; again-after makes it due later; a wake overtakes that', () => {
  const queue = keyQueue(backOff);
  queue.wake('a', 0);
  queue.take(0);
  equal(queue.wake('a', 5), true);
  equal(queue.wake('a', 6), false, 'known already');
  queue.done('a', { failed: false, againAfterMs: 1000 }, 10, 0);
  equal(queue.dueAt('a'), 10);
  queue.take(10);
  queue.done('a', { failed: false, againAfterMs: 1000 }, 20, 0);
  deepEqual([queue.dueAt('a'), queue.nextDue(), queue.take(1019)], [1020, 1020, undefined]);
  queue.wake('a', 100);
  equal(queue.take(100), 'a');
});

test('[R1] the key due longest comes first, and what does not run cannot end', () => {
  const queue = keyQueue(backOff);
  queue.wake('late', 20);
  queue.wake('early', 10);
  deepEqual([queue.take(30), queue.take(30), queue.take(30)], ['early', 'late', undefined]);
  throws(() => queue.done('never', { failed: false }, 30, 0));
});
