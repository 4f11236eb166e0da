/** Cutting what a container prints into lines. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LineCutter, maxLineBytes } from './line-cutter.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const texts = (lines: readonly Uint8Array[]) => lines.map((line) => new TextDecoder().decode(line));

test('[G36] lines are the same however the bytes arrive', () => {
  fc.assert(fc.property(fc.array(fc.stringMatching(/^[a-z]{0,20}$/), { maxLength: 20 }), fc.integer({ min: 1, max: 9 }), (lines, step) => {
    const all = bytes(lines.map((line) => `${line}\n`).join(''));
    const cutter = new LineCutter();
    const seen: Uint8Array[] = [];
    for (let at = 0; at < all.length; at += step) seen.push(...cutter.push(all.subarray(at, at + step)));
    assert.deepEqual(texts([...seen, ...cutter.end()]), lines);
  }));
});

test('[G36] a line longer than 16 KiB is cut, and nothing longer is ever kept', () => {
  const cutter = new LineCutter();
  const lines = [...cutter.push(bytes('x'.repeat(maxLineBytes * 2 + 5))), ...cutter.push(bytes('y\nz'))];
  assert.deepEqual(lines.map((line) => line.length), [maxLineBytes, maxLineBytes, 6]);
  assert.deepEqual(texts(cutter.end()), ['z']);
  assert.deepEqual(cutter.end(), []);
});

test('[G36] a carriage return before the newline belongs to the line\'s end', () => {
  assert.deepEqual(texts(new LineCutter().push(bytes('a\r\n\r\n\nb\rc\n'))), ['a', '', '', 'b\rc']);
});
