/** Files of variables. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Report } from '../report.ts';
import { parseDotenv } from './parse-dotenv.ts';

function parse(text: string): { values: Record<string, string | undefined>; said: string[] } {
  const report = new Report();
  const outside: Readonly<Record<string, string>> = { OUT: 'o', SET: 'outside' };
  const found = parseDotenv({ text, place: { file: '.env', line: 1, column: 1, source: { path: '.env', baseDir: '/' } }, lookup: (name) => outside[name], report });
  let said = report.warnings;
  try { report.throwIfFailed(); } catch (thrown) { said = (thrown as { details: { diagnostics: typeof said } }).details.diagnostics; }
  return { values: Object.fromEntries(found), said: said.map((one) => `${one.line} ${one.code}`) };
}

const good: readonly (readonly [string, Record<string, string | undefined>])[] = [
  ['', {}], ['A=1', { A: '1' }], ['A=1\nB=2\n', { A: '1', B: '2' }], ['A=1\r\nB=2\r\n', { A: '1', B: '2' }], ['\uFEFFA=1', { A: '1' }], ['# note\n\n  # note\nA=1', { A: '1' }],
  ['export A=1', { A: '1' }], ['  A = 1 ', { A: '1' }], ['A=', { A: '' }], ['A: 1', { A: '1' }], ['A.b-c=1', { 'A.b-c': '1' }],
  ['A=a b c', { A: 'a b c' }], ['A=a # note', { A: 'a' }], ['A=a#b', { A: 'a#b' }], ['A= # note', { A: '' }], ['A=a=b', { A: 'a=b' }], ['A=a"b', { A: 'a"b' }],
  ["A='a # b $OUT'", { A: 'a # b $OUT' }], ["A='it\\'s'", { A: "it's" }], ["A='a\\nb'", { A: 'a\\nb' }], ["A='a' # note", { A: 'a' }],
  ['A="a # b"', { A: 'a # b' }], ['A="a\\nb\\tc"', { A: 'a\nb\tc' }], ['A="say \\"hi\\""', { A: 'say "hi"' }], ['A="a\\$OUT"', { A: 'a$OUT' }], ['A="$OUT"', { A: 'o' }],
  ['A="one\ntwo"\nB=3', { A: 'one\ntwo', B: '3' }], ["A='one\ntwo'\nB=3", { A: 'one\ntwo', B: '3' }],
  ['A=1\nB=$A\nC=${A}2', { A: '1', B: '1', C: '12' }], ['A=${NONE:-d}', { A: 'd' }], ['A=$$', { A: '$' }], ['SET=inside\nB=$SET', { SET: 'inside', B: 'outside' }],
  ['OUT', { OUT: 'o' }], ['NONE', { NONE: undefined }], ['A=1\nA=2', { A: '2' }],
];

describe('files of variables', () => {
  test('[C4] values are read by Docker Compose\'s rules', () => {
    for (const [text, values] of good) assert.deepEqual(parse(text), { values, said: [] }, JSON.stringify(text));
  });

  test('[C4] what is wrong has its line', () => {
    assert.deepEqual(parse('A=1\nwhat is this\n').said, ['2 compose.badEnvFile']);
    assert.deepEqual(parse('A="one\ntwo"\n=x\n').said, ['3 compose.badEnvFile']);
    assert.deepEqual(parse('A=1\nB="open\n').said, ['2 compose.badEnvFile']);
    assert.deepEqual(parse('A="a" b\n').said, ['1 compose.badEnvFile']);
    assert.deepEqual(parse('A=$NONE\n').said, ['1 compose.unsetVariable']);
    assert.deepEqual(parse('\nA=${NONE:?why}\n').said, ['2 compose.missingVariable']);
    assert.deepEqual(parse('PASSWORD=pa$$\nA=p$\n').said, ['2 compose.badVariable']);
  });

  test('[C4] a line that is none shows only its beginning', () => {
    const report = new Report();
    parseDotenv({ text: 'hunter2 is my secret', place: { file: '.env', line: 1, column: 1, source: { path: '.env', baseDir: '/' } }, lookup: () => undefined, report });
    assert.throws(() => report.throwIfFailed(), (error: Error) => !error.message.includes('secret'));
  });

  test('[C2] values that double each other end', () => {
    const start = performance.now();
    const text = `A0=${'x'.repeat(1000)}\n${Array.from({ length: 60 }, (_, index) => `A${index + 1}=$A${index}$A${index}\n`).join('')}`;
    assert.ok(parse(text).said.some((one) => one.endsWith('compose.tooLarge')));
    assert.ok(performance.now() - start < 3000);
  });

  test('[C2] no text makes it throw', () => {
    const piece = fc.constantFrom('A', '=', '"', "'", '\n', '\\', '$', '{', '}', '#', ' ', 'export ', ':', '\r\n');
    fc.assert(fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => { parse(pieces.join('')); }), { numRuns: 2000 });
  });
});
