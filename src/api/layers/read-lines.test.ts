/** Lines of guests: as they were written, however they were cut, and in pieces where they do not end. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { readLines } from './read-lines.ts';

const linesOf = (chunks: readonly Buffer[], most: number): Promise<string[]> => Array.fromAsync(readLines(Readable.from(chunks), most));

test('[A15] lines are as they were written, however they were cut, with each kind of line break', async () => {
  deepEqual(await linesOf([Buffer.from('a\r'), Buffer.from('\nb\rc\n'), Buffer.from('\nd')], 100), ['a', 'b', 'c', '', 'd']);
  deepEqual(await linesOf([], 100), []);
  await fc.assert(fc.asyncProperty(fc.array(fc.tuple(fc.string({ unit: 'grapheme', maxLength: 9 }), fc.constantFrom('\n', '\r\n'))), fc.integer({ min: 1, max: 5 }), async (written, size) => {
    const all = Buffer.from(written.map(([line, end]) => line.replace(/[\r\n]/g, ' ') + end).join(''));
    const chunks = Array.from({ length: Math.ceil(all.length / size) }, (_one, at) => all.subarray(at * size, (at + 1) * size));
    deepEqual(await linesOf(chunks, 1000), written.map(([line]) => line.replace(/[\r\n]/g, ' ')));
  }));
});

test('[A15] a line without an end comes in pieces, and whoever does not take them stops its writer', async () => {
  deepEqual(await linesOf([Buffer.from('x'.repeat(25)), Buffer.from('y\nz')], 10), ['x'.repeat(10), 'x'.repeat(10), `${'x'.repeat(5)}y`, 'z']);
  deepEqual(await linesOf([Buffer.from(`${'x'.repeat(21)}\n`)], 10), ['x'.repeat(10), 'x'.repeat(10), 'x']);
  const source = new PassThrough();
  const lines = readLines(source, 1024);
  const first = lines.next();
  let taken = 0;
  while (source.write(Buffer.alloc(16 * 1024, 'x')) && taken < 1000) { taken += 1; await new Promise(setImmediate); }
  equal((await first).value?.length, 1024);
  ok(taken < 100, `${taken} pieces of 16 KiB were taken from it`);
  await lines.return(undefined);
  ok(source.destroyed);
});

test('[A15] a source that is closed ends its lines', async () => {
  const source = new PassThrough();
  source.write('one\ntwo');
  const lines = readLines(source, 100);
  equal((await lines.next()).value, 'one');
  source.destroy();
  equal((await lines.next()).value, 'two');
  equal((await lines.next()).done, true);
});
