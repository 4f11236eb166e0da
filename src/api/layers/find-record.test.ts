/** What is said where a person named something that is not there. */
import { equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { findByHandle, someOf } from './find-record.ts';

test('[A2] what is not there is told with what is, in order, and how many more there are', () => {
  const all = Array.from({ length: 11 }, (_, at) => ({ id: `m${at}`, name: `web-${at}` }));
  equal(findByHandle('machine', 'web-3', all).id, 'm3');
  throws(() => findByHandle('machine', 'nosuch', all.toReversed()), { code: 'machine.notFound', advice: 'there is: web-0, web-1, web-2, web-3, web-4, web-5, web-6, web-7 and 3 more' });
  throws(() => findByHandle('backend', 'nosuch', []), { code: 'backend.notFound', advice: 'there is no back end at all yet' });
  equal(someOf(['b', 'a']), 'a, b');
});
