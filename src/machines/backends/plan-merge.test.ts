/** Which layers are merged, over a machine's many copies. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fewLayers, planMerge, type LayerFacts } from './plan-merge.ts';

const mebibyte = 1024 ** 2;
const layers = (sizes: readonly number[], kept: readonly number[] = []): LayerFacts[] => sizes.map((size, at) => ({ bytes: size * mebibyte, kept: kept.includes(at) }));

test('[BE14] few layers stay, many small ones are merged, a large one is left, and so is what a snapshot keeps', () => {
  deepEqual(planMerge([]), { merge: false, why: 'few layers' });
  deepEqual(planMerge(layers([1, 1, 1, 1, 1, 1, 1, 9000])), { merge: false, why: 'few layers' });
  deepEqual(planMerge(layers([1, 1, 1, 1, 1, 1, 1, 1, 9000])), { merge: true, count: 7, bytes: 7 * mebibyte });
  deepEqual(planMerge(layers([1, 1, 1, 1, 1, 1, 500, 1, 9000])), { merge: true, count: 5, bytes: 5 * mebibyte });
  deepEqual(planMerge(layers([1, 1, 1, 1, 1, 1, 1, 1, 9000], [3, 4, 5, 6, 7, 8])), { merge: false, why: 'kept apart by snapshots' });
  deepEqual(planMerge(layers([1, 1, 1, 1, 1, 1, 1, 1, 1, 9000], [8, 9])), { merge: true, count: 7, bytes: 7 * mebibyte });
});

test('[BE14] what is merged lies between top and bottom, above what is kept, and makes a chain that is not long', () => {
  fc.assert(fc.property(fc.array(fc.record({ bytes: fc.nat(1e9), kept: fc.boolean() }), { maxLength: 60 }), (files) => {
    const plan = planMerge(files);
    const between = files.slice(1, -1);
    const free = between.findIndex((one) => one.kept) < 0 ? between.length : between.findIndex((one) => one.kept);
    equal(plan.merge, free > fewLayers);
    if (!plan.merge) return;
    ok(plan.count >= 2 && plan.count <= free && free - plan.count + 1 <= fewLayers);
    equal(plan.bytes, between.slice(0, plan.count).reduce((sum, one) => sum + one.bytes, 0));
  }));
});

test('[BE14] however much is written between copies, each byte is copied a few times only', () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 200, maxLength: 400 }), (writes) => {
    let files = layers([0, 100_000]);
    let [written, copied] = [0, 0];
    for (const size of writes) {
      files = [{ bytes: 0, kept: false }, { bytes: size, kept: false }, ...files.slice(1)];
      written += size;
      const plan = planMerge(files);
      if (!plan.merge) continue;
      copied += plan.bytes;
      files = [files[0] as LayerFacts, { bytes: plan.bytes, kept: false }, ...files.slice(1 + plan.count)];
    }
    ok(files.length <= fewLayers + 2);
    ok(copied < 8 * written, `${copied} copied of ${written}`);
  }));
});
