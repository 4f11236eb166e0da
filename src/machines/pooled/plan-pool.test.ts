/** What the planner of the pool decides, for any host and any history. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { expectedMs, planPool, usualPoolLimits, type PoolPlan, type PoolSeen, type ShapeSeen } from './plan-pool.ts';
import { parseMeminfo, parsePressure } from './read-host-memory.ts';

const now = 10_000_000;
const MiB = 1024 * 1024;
const limits = usualPoolLimits;

const shapeOf = (changes: Partial<ShapeSeen> = {}): ShapeSeen => ({ key: 'one', startedAt: [now - 1000, now - 500], ready: [], memberBytes: 40 * MiB, obstacle: '', retryAt: 0, failure: '', ...changes });
const seenOf = (shapes: readonly ShapeSeen[], changes: Partial<PoolSeen> = {}): PoolSeen => ({ shapes, now, availableBytes: 8192 * MiB, totalBytes: 16_384 * MiB, stalledPercent: 0, pressedAt: undefined, startsUnderWay: false, ...changes });
const ready = (count: number, key = 'm'): ShapeSeen['ready'] => Array.from({ length: count }, (_, at) => ({ id: `${key}${at}`, heldBytes: 40 * MiB }));
const only = (plan: PoolPlan) => plan.shapes[0];

test('[Q53] each case: what is made, what is ended, and why not', () => {
  const cases: readonly (readonly [what: string, seen: PoolSeen, make: string | undefined, end: readonly string[], why: string])[] = [
    ['two starts of late', seenOf([shapeOf()]), 'one', [], 'one is being made'],
    ['one is there, two are wanted', seenOf([shapeOf({ ready: ready(1) })]), 'one', [], 'one is being made'],
    ['full', seenOf([shapeOf({ ready: ready(2) })]), undefined, [], ''],
    ['one start of late: one is enough', seenOf([shapeOf({ startedAt: [now - expectedMs, now - 1], ready: ready(1) })]), undefined, [], ''],
    ['started long ago: the older goes', seenOf([shapeOf({ startedAt: [now - expectedMs, now - 1], ready: ready(2) })]), undefined, ['m0'], ''],
    ['nothing started of late: all go', seenOf([shapeOf({ startedAt: [1, 2], ready: ready(2) })]), undefined, ['m1', 'm0'], ''],
    ['little memory', seenOf([shapeOf({ ready: ready(1) })], { availableBytes: 1000 * MiB }), undefined, ['m0'], 'the host has little free memory'],
    ['somebody waits for memory', seenOf([shapeOf({ ready: ready(1) })], { stalledPercent: 10 }), undefined, ['m0'], 'the host has little free memory'],
    ['pressed a moment ago', seenOf([shapeOf()], { pressedAt: now - 59_999 }), undefined, [], 'the host had little free memory a moment ago'],
    ['pressed a minute ago', seenOf([shapeOf()], { pressedAt: now - 60_000 }), 'one', [], 'one is being made'],
    ['starts under way', seenOf([shapeOf()], { startsUnderWay: true }), undefined, [], 'machines are being started'],
    ['no template', seenOf([shapeOf({ obstacle: 'there is no template' })]), undefined, [], 'there is no template'],
    ['it failed just now', seenOf([shapeOf({ retryAt: now + 1, failure: 'no room' })]), undefined, [], 'the last one could not be made: no room'],
    ['one more would be too much', seenOf([shapeOf({ memberBytes: 900 * MiB })]), undefined, [], 'pooled machines have used up their share of memory'],
    ['those there are too much', seenOf([shapeOf({ ready: [{ id: 'big', heldBytes: 2000 * MiB }] })]), undefined, ['big'], 'others are ended first'],
  ];
  for (const [what, seen, make, end, why] of cases) {
    const plan = planPool(seen, limits);
    deepEqual([plan.make, plan.end.map(({ id }) => id), only(plan)?.why], [make, end, why], what);
    ok(plan.end.every((one) => one.why !== ''), what);
  }
});

test('[Q53] the shape started last comes first, one is made at a time', () => {
  const plan = planPool(seenOf([shapeOf({ key: 'older', startedAt: [now - 2000] }), shapeOf({ key: 'newer', startedAt: [now - 1000] })]), limits);
  deepEqual([plan.make, plan.shapes], ['newer', [{ key: 'newer', size: 1, why: 'one is being made' }, { key: 'older', size: 1, why: 'one of another shape is being made' }]]);
});

test('[Q53] a pool that is switched off ends what there is and makes nothing', () => {
  const plan = planPool(seenOf([shapeOf({ ready: ready(2) })]), { ...limits, perShape: 0 });
  deepEqual([plan.make, plan.end.length, only(plan)?.size], [undefined, 2, 0]);
});

const bytes = fc.integer({ min: 1, max: 4096 }).map((MiBs) => MiBs * MiB);
const anyShape = (key: string) => fc.record({
  key: fc.constant(key), startedAt: fc.array(fc.integer({ min: now - 2 * expectedMs, max: now }), { maxLength: 4 }).map((times) => times.toSorted((one, other) => one - other)),
  ready: fc.array(bytes, { maxLength: 4 }).map((held) => held.map((heldBytes, at) => ({ id: `${key}-${at}`, heldBytes }))),
  memberBytes: bytes, obstacle: fc.constantFrom('', '', 'there is no template'), retryAt: fc.constantFrom(0, now + 5), failure: fc.constant(''),
});
const anySeen: fc.Arbitrary<PoolSeen> = fc.record({
  shapes: fc.tuple(anyShape('a'), anyShape('b'), anyShape('c')).chain((all) => fc.subarray([...all])), now: fc.constant(now), availableBytes: fc.integer({ min: 0, max: 65_536 }).map((one) => one * MiB),
  totalBytes: fc.constant(65_536 * MiB), stalledPercent: fc.constantFrom(0, 0, 5, 50), pressedAt: fc.constantFrom(undefined, now - 1, now - 100_000), startsUnderWay: fc.boolean(),
});
const anyLimits = fc.record({ perShape: fc.integer({ min: 0, max: 3 }), share: fc.constantFrom(0, 0.05, 0.1, 0.5) });

/** As the host is afterwards: memory that is given back is available again. */
function performed(seen: PoolSeen, plan: PoolPlan): PoolSeen {
  const gone = new Set(plan.end.map(({ id }) => id));
  const freed = seen.shapes.flatMap((shape) => shape.ready).filter(({ id }) => gone.has(id)).reduce((sum, one) => sum + one.heldBytes, 0);
  const shapes = seen.shapes.map((shape) => ({ ...shape, ready: [...shape.ready.filter(({ id }) => !gone.has(id)), ...(shape.key === plan.make ? [{ id: `${shape.key}-new-${shape.ready.length}`, heldBytes: shape.memberBytes }] : [])] }));
  const made = seen.shapes.find(({ key }) => key === plan.make)?.memberBytes ?? 0;
  return { ...seen, shapes, availableBytes: seen.availableBytes + freed - made };
}
const heldIn = (seen: PoolSeen): number => seen.shapes.flatMap((shape) => shape.ready).reduce((sum, one) => sum + one.heldBytes, 0);

test('[Q53] for any host: limits hold after each step, pressure ends all, and what is missing has its reason', () => {
  fc.assert(fc.property(anySeen, anyLimits, (seen, some) => {
    const plan = planPool(seen, some);
    const after = performed(seen, plan);
    ok(plan.make === undefined || plan.end.length === 0, 'not both at once');
    if (plan.make !== undefined || plan.end.length > 0) ok(heldIn(after) <= (after.availableBytes + heldIn(after)) * some.share + 1 || plan.pressed, 'within its share');
    for (const { key, size, why } of plan.shapes) {
      const count = after.shapes.find((shape) => shape.key === key)?.ready.length ?? 0;
      ok(size <= some.perShape && count <= size, 'never more than wanted');
      ok(count >= size || why !== '', 'a reason');
    }
    equal(plan.shapes.length, seen.shapes.length);
    if (plan.pressed) deepEqual([heldIn(after), plan.make], [0, undefined]);
    if (seen.startsUnderWay) equal(plan.make, undefined);
    deepEqual(planPool(seen, some), plan, 'the same for the same');
  }), { numRuns: 500 });
});

test('[Q53] with nothing new it comes to rest, and ends nothing that it made', () => {
  fc.assert(fc.property(anySeen, anyLimits, (first, some) => {
    let seen = first;
    const made = new Set<string>();
    for (let step = 0; ; step += 1) {
      ok(step < 30, 'it comes to rest');
      const plan = planPool(seen, some);
      if (plan.make === undefined && plan.end.length === 0) return;
      // What is made takes memory; where that presses the host, all of it goes again, and for a minute nothing is made.
      if (!plan.pressed) ok(plan.end.every(({ id }) => !made.has(id)), 'no coming and going');
      const after = performed(seen, plan);
      for (const { id } of after.shapes.flatMap((shape) => shape.ready)) if (id.includes('new')) made.add(id);
      seen = { ...after, pressedAt: plan.pressed ? now : seen.pressedAt };
    }
  }), { numRuns: 500 });
});

test('[Q53] the host says what it has in its own words', () => {
  deepEqual(parseMeminfo('MemTotal:       24683520 kB\nMemFree:         1 kB\nMemAvailable:   23756800 kB\n'), { availableBytes: 23_756_800 * 1024, totalBytes: 24_683_520 * 1024 });
  equal(parsePressure('some avg10=12.34 avg60=1.00 avg300=0.00 total=1\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=1\n'), 12.34);
  equal(parsePressure(''), 0, 'a kernel that does not measure it');
});
