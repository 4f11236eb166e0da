/** Variables in text: the specification's forms, nesting, and texts that are none. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { interpolate } from './interpolate.ts';

const variables: Readonly<Record<string, string>> = { A: 'a', EMPTY: '', B: 'b', _X1: 'x' };
const lookup = (name: string): string | undefined => (Object.hasOwn(variables, name) ? variables[name] : undefined);
const text = (template: string): string => interpolate(template, lookup).text;
const problems = (template: string): unknown[] => interpolate(template, lookup).problems.map((one) => ({ ...one }));

const good: readonly (readonly [string, string])[] = [
  ['', ''], ['plain', 'plain'], ['$A', 'a'], ['${A}', 'a'], ['x${A}y', 'xay'], ['$A$B', 'ab'], ['${A}${B}', 'ab'], ['$$', '$'], ['$$A', '$A'], ['$$$A', '$a'], ['$${A}', '${A}'], ['$_X1', 'x'], ['$A.b', 'a.b'], ['$A-b', 'a-b'],
  ['${A:-d}', 'a'], ['${A-d}', 'a'], ['${NONE:-d}', 'd'], ['${NONE-d}', 'd'], ['${EMPTY:-d}', 'd'], ['${EMPTY-d}', ''], ['${NONE:-}', ''], ['${NONE-}', ''],
  ['${A:+r}', 'r'], ['${A+r}', 'r'], ['${NONE:+r}', ''], ['${NONE+r}', ''], ['${EMPTY:+r}', ''], ['${EMPTY+r}', 'r'],
  ['${A:?why}', 'a'], ['${A?why}', 'a'], ['${EMPTY?why}', ''],
  ['${NONE:-$A}', 'a'], ['${NONE:-${A}}', 'a'], ['${NONE:-${NOTHING:-deep}}', 'deep'], ['${NONE:-x${A}y}z', 'xayz'], ['${A:+${B}}', 'b'],
  ['${NONE:-a:b}', 'a:b'], ['${NONE:-http://x?y=z}', 'http://x?y=z'], ['${NONE:-a-b+c?d}', 'a-b+c?d'], ['${NONE:-$$5}', '$5'], ['${NONE:-a\nb}', 'a\nb'],
];

const wrong: readonly (readonly [string, unknown])[] = [
  ['$NONE', { kind: 'unset', name: 'NONE' }], ['${NONE}', { kind: 'unset', name: 'NONE' }], ['${A:+$NONE}', { kind: 'unset', name: 'NONE' }],
  ['${NONE:?needed here}', { kind: 'required', name: 'NONE', why: 'needed here', empty: false }], ['${EMPTY:?}', { kind: 'required', name: 'EMPTY', why: '', empty: true }], ['${NONE?${A} is}', { kind: 'required', name: 'NONE', why: 'a is', empty: false }],
  ['$', { kind: 'syntax', text: '$' }], ['a $ b', { kind: 'syntax', text: '$ b' }], ['$1', { kind: 'syntax', text: '$1' }], ['${', { kind: 'syntax', text: '${' }], ['${}', { kind: 'syntax', text: '${}' }], ['${A', { kind: 'syntax', text: '${A' }],
  ['${1A}', { kind: 'syntax', text: '${1A}' }], ['${A!x}', { kind: 'syntax', text: '${A!x}' }], ['${ A}', { kind: 'syntax', text: '${ A}' }], ['${A:x}', { kind: 'syntax', text: '${A:x}' }],
];

describe('interpolation', () => {
  test('[C3] every form gives what the specification says', () => {
    for (const [template, expected] of good) assert.equal(text(template), expected, template);
    for (const [template] of good) assert.deepEqual(problems(template), [], template);
  });

  test('[C3] what cannot be put in is said', () => {
    for (const [template, expected] of wrong) assert.deepEqual(problems(template), [expected], template);
  });

  test('[C3] a default that is not needed asks for nothing', () => assert.deepEqual(problems('${A:-${NONE:?no}}'), []));

  test('[C3] no text makes it throw, and text without a dollar stays as it is', () => {
    const piece = fc.constantFrom('$', '{', '}', 'A', 'NONE', ':', '-', '?', '+', 'x', ' ', '$$', '${', '${A:-');
    fc.assert(fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const result = interpolate(pieces.join(''), lookup);
      assert.equal(typeof result.text, 'string');
      assert.ok(result.problems.every((one) => ['unset', 'required', 'syntax'].includes(one.kind)));
    }), { numRuns: 2000 });
    fc.assert(fc.property(fc.string().filter((one) => !one.includes('$')), (one) => assert.equal(text(one), one)));
  });

  test('[C3] doubling every dollar of any text gives it back', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom('$', '{', 'A', '}', 'x') }), (one) => assert.equal(text(one.replaceAll('$', '$$$$')), one)));
  });

  test('[C2] deep nesting and long names end', () => {
    const deep = `${'${NONE:-'.repeat(5000)}x${'}'.repeat(5000)}`;
    assert.ok(interpolate(deep, lookup).problems.length > 0);
    assert.ok(interpolate(`$${'A'.repeat(1_000_000)}`, lookup).problems.length > 0);
    assert.ok(interpolate('${'.repeat(100_000), lookup).problems.length > 0);
  });
});
