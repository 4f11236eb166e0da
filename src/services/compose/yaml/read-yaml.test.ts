/** YAML of strangers: limits, forbidden keys, anchors and merge keys. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Report } from '../report.ts';
import { readYaml } from './read-yaml.ts';
import { plain } from './tree.ts';

function read(text: string | Buffer): { values: unknown[]; errors: string[] } {
  const report = new Report();
  const values = readYaml(typeof text === 'string' ? Buffer.from(text) : text, { path: 'f', baseDir: '/' }, report).map(plain);
  try {
    report.throwIfFailed();
    return { values, errors: [] };
  } catch (thrown) {
    const found = (thrown as { details: { diagnostics: { line: number; column: number; code: string; message: string }[] } }).details.diagnostics;
    return { values, errors: found.map((one) => `${one.line}:${one.column} ${one.code} ${one.message}`) };
  }
}

const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${'bcdefghij'.split('').map((name, index) => `${name}: &${name} [${Array.from({ length: 10 }, () => `*${'abcdefghij'[index]}`).join(',')}]`).join('\n')}\n`;

const refused: readonly (readonly [string, string | Buffer, RegExp])[] = [
  ['an alias bomb', bomb, /^5:\d+ compose\.tooLarge/],
  ['an alias of itself', 'a: &a [*a]\n', /1:8 compose\.notYaml \*a stands inside/],
  ['an unknown alias', 'a: *b\n', /compose\.notYaml/],
  ['deep flow nesting', '['.repeat(200_000), /^1:\d+ compose\.tooDeep/],
  ['deep block nesting', Array.from({ length: 100 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'), /compose\.tooDeep/],
  ['a large file', `a: ${'x'.repeat(2 ** 21)}`, /1:1 compose\.tooLarge/],
  ['many small values', `a: [${'1,'.repeat(60_000)}]`, /compose\.tooLarge/],
  ['NUL', 'a: b\nc: d\0e\n', /^2:5 compose\.notText holds the control character \\x00/],
  ['an escape sequence', 'a: "\u001b[31m"\n', /^1:5 compose\.notText/],
  ['bytes that are no UTF-8', Buffer.from([0x61, 0x3a, 0x20, 0xff, 0xfe]), /1:1 compose\.notText/],
  ['a tab as indent', 'a:\n\tb: c\n', /^2:1 compose\.notYaml/],
  ['a key twice', 'a: 1\nb: 2\na: 3\n', /^3:1 compose\.duplicateKey a stands here twice; first in line 1/],
  ['__proto__', 'a: {__proto__: {b: 1}}\n', /^1:5 compose\.unknownKey/],
  ['constructor', 'constructor: 1\n', /^1:1 compose\.unknownKey/],
  ['prototype', '"prototype": 1\n', /^1:1 compose\.unknownKey/],
  ['an unknown tag', 'a: !!js/function x\n', /compose\.notYaml unknown tag/],
  ['a mapping as a key', '? {a: b}\n: c\n', /^1:3 compose\.wrongType/],
  ['a merge of no mapping', 'a:\n  <<: 1\n', /^2:7 compose\.wrongType/],
  ['an open quote', 'a: "b\n', /compose\.notYaml/],
  ['a hundred documents', '---\na: 1\n'.repeat(100), /1:1 compose\.tooLarge/],
];

describe('reading YAML', () => {
  for (const [what, text, error] of refused) {
    test(`[C2] ${what} is refused at its place, and soon`, () => {
      const start = process.threadCpuUsage();
      const { errors } = read(text);
      assert.match(errors[0] ?? 'nothing', error);
      const { user, system } = process.threadCpuUsage(start);
      assert.ok(user + system < 3_000_000, 'it takes too long');
    });
  }

  test('[C2] many keys are read in a time that grows as their number', () => {
    const start = performance.now();
    read(Array.from({ length: 24_000 }, (_, index) => `k${index}: v`).join('\n'));
    assert.ok(performance.now() - start < 3000);
  });

  test('[C2] a byte order mark is no error', () => assert.deepEqual(read('\uFEFFa: 1\n'), { values: [{ a: 1 }], errors: [] }));

  test('[C2] anchors, aliases and merge keys mean what YAML says', () => {
    const { values } = read('x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\none: {<<: *x, b: 9}\ntwo:\n  <<: [*x, *y]\n  d: 5\nthree: *x\n');
    assert.deepEqual(values, [{ x: { a: 1, b: 2 }, y: { b: 3, c: 4 }, one: { b: 9, a: 1 }, two: { d: 5, a: 1, b: 2, c: 4 }, three: { a: 1, b: 2 } }]);
  });

  test('[C2] numbers are those of Docker Compose: 0440 is octal, great ones stay text', () => {
    assert.deepEqual(read('[0440, 0o440, 10, 1.5, 12345678901234567890, "0440", yes, true, ~, 22:22]').values, [[288, 288, 10, 1.5, '12345678901234567890', '0440', 'yes', true, null, '22:22']]);
  });

  test('[C2] several documents are several trees', () => assert.deepEqual(read('a: 1\n---\nb: 2\n').values, [{ a: 1 }, { b: 2 }]));

  test('[C2] no text makes it throw', () => {
    const piece = fc.constantFrom('a', ': ', '- ', '\n', '  ', '{', '}', '[', ']', '&a ', '*a', '!reset ', '!!str ', '<<: ', '"', "'", '|', '>', '#', '---\n', '? ', ',', '%', '\t', 'é', '0', '~');
    fc.assert(fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => { read(pieces.join('')); }), { numRuns: 1500 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => { read(Buffer.from(bytes)); }), { numRuns: 500 });
  });
});
