/** Files, waiting, crash points, ids and errors. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { asStrataError, StrataError } from './errors.ts';
import { armFailpoints, failpoint, watchFailpoints } from './failpoint.ts';
import { architectureOfPlatform } from './architecture.ts';
import { atomicWrite, removeUnfinishedWrites } from './atomic-write.ts';
import { runProcess } from './run-process.ts';
import { seededDice, systemDice } from './dice.ts';
import { isId, newId } from './ids.ts';
import { waitUntil } from './wait-until.ts';
import { systemClock, type Clock } from './clock.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-base-'));
after(() => rmSync(folder, { recursive: true }));

test('[B4] the file holds the new text with its mode, and nothing is left beside it', async () => {
  const path = join(folder, 'file');
  await atomicWrite(path, 'one');
  await atomicWrite(path, 'two', 0o644);
  deepEqual([readFileSync(path, 'utf8'), statSync(path).mode & 0o777, readdirSync(folder)], ['two', 0o644, ['file']]);
  await rejects(atomicWrite(join(folder, 'none/file'), 'x'), { code: 'ENOENT' });
});

test('[B4] many writers at once leave one whole text and nothing beside it; a failed one leaves nothing', async () => {
  const inside = mkdtempSync(join(folder, 'many-'));
  const texts = Array.from({ length: 20 }, (_none, index) => String(index).repeat(1000));
  await Promise.all(texts.map((text) => atomicWrite(join(inside, 'file'), text)));
  ok(texts.includes(readFileSync(join(inside, 'file'), 'utf8')));
  mkdirSync(join(inside, 'taken'));
  await rejects(atomicWrite(join(inside, 'taken'), 'x'), { code: 'EISDIR' });
  deepEqual(readdirSync(inside).sort(), ['file', 'taken']);
});

test('[B4] a reader never sees a half file', async () => {
  const path = join(folder, 'torn');
  const texts = ['a', 'b'].map((letter) => letter.repeat(300_000));
  await atomicWrite(path, texts[0] as string);
  let writing = true;
  const writer = (async () => { for (let round = 0; round < 20; round += 1) await atomicWrite(path, texts[round % 2] as string); writing = false; })();
  let reads = 0;
  while (writing) {
    ok(texts.includes(readFileSync(path, 'utf8')));
    reads += 1;
    await new Promise((resolve) => { setImmediate(resolve); });
  }
  await writer;
  ok(reads > 5);
});

test('[B4] what a killed writer left is removed, and nothing of one that lives', async () => {
  const inside = mkdtempSync(join(folder, 'killed-'));
  await atomicWrite(join(inside, 'file'), 'old');
  const program = `import { atomicWrite } from ${JSON.stringify(new URL('atomic-write.ts', import.meta.url).href)}; await atomicWrite(${JSON.stringify(join(inside, 'file'))}, 'new');`;
  await rejects(runProcess([process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program], { env: { STRATA_FAILPOINTS: 'base.atomicWrite.beforeRename=kill' }, timeoutMs: 20_000 }), /SIGKILL/);
  equal(readdirSync(inside).filter((name) => /^file\.\d+\.1\.new$/.test(name)).length, 1, 'it was killed in the middle');
  const others = [`file.${process.pid}.9.new`, 'file.1234', 'new', 'x.new'];
  for (const name of others) writeFileSync(join(inside, name), '');
  for (let time = 0; time < 2; time += 1) await removeUnfinishedWrites(inside);
  deepEqual(readdirSync(inside).sort(), ['file', ...others].sort());
  equal(readFileSync(join(inside, 'file'), 'utf8'), 'old');
  await removeUnfinishedWrites(join(folder, 'none'));
});

/** A clock whose waits take no time. */
function quickClock(): Clock & { readonly waited: number[] } {
  let now = 0;
  const waited: number[] = [];
  return { waited, now: () => now, monotonic: () => now, async wait(milliseconds, signal) { signal?.throwIfAborted(); waited.push(milliseconds); now += milliseconds; await Promise.resolve(); } };
}

test('[B5] waiting ends with what was seen, and looks once even without time', async () => {
  let looks = 0;
  equal(await waitUntil(() => { looks += 1; return looks === 3 && 'there'; }, { what: 'it is there', limitMs: 1000, clock: quickClock() }), 'there');
  equal(await waitUntil(() => 0 as number, { what: 'zero counts as seen', limitMs: 0 }), 0);
});

test('[B5] the limit ends it and says what it waited for; an abort ends it at once; a failing look is told', async () => {
  const clock = quickClock();
  await rejects(waitUntil(() => false, { what: 'the moon is blue', limitMs: 100, everyMs: 30, clock }), { code: 'base.timeout', kind: 'timeout', message: /the moon is blue/ });
  deepEqual(clock.waited, [30, 30, 30, 30]);
  await rejects(waitUntil(() => false, { what: 'never', limitMs: 60_000, signal: AbortSignal.timeout(20) }), { name: /AbortError|TimeoutError/ });
  await rejects(waitUntil(() => { throw new Error('broken look'); }, { what: 'never', limitMs: 1000 }), /broken look/);
});

test('[B6] crash points fire as often as armed, and only those', () => {
  failpoint('a.b');
  armFailpoints('a.b=2*error;c=error');
  throws(() => failpoint('a.b'), { code: 'base.failpoint' });
  throws(() => failpoint('a.b'), { code: 'base.failpoint' });
  failpoint('a.b');
  failpoint('other');
  throws(() => failpoint('c'), { code: 'base.failpoint' });
  armFailpoints('');
  failpoint('c');
  for (const wrong of ['a', 'a=stop', 'a=x*error', '=kill', 'a=error,b=error']) throws(() => armFailpoints(wrong), { code: 'base.failpointSyntax' });
});

test('[B6] a watcher is told of the crash points of what it watches, also later, and of nobody else\'s', async () => {
  const seen: string[] = [];
  const story = async (name: string) => { failpoint(`${name}.1`); await systemClock.wait(1); failpoint(`${name}.2`); };
  await Promise.all([watchFailpoints((name) => { seen.push(name); }, () => story('own')), story('other')]);
  deepEqual(seen, ['own.1', 'own.2']);
  await rejects(watchFailpoints((name) => { if (name === 'a.2') throw new Error('cut off'); }, () => story('a')), /cut off/);
});

test('[B6] a crash point armed to kill kills the process at once', () => {
  const script = `import { failpoint } from ${JSON.stringify(new URL('failpoint.ts', import.meta.url).href)}; failpoint('x'); console.log('before'); failpoint('y'); console.log('after');`;
  const { stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { env: { ...process.env, STRATA_FAILPOINTS: 'y=kill' }, encoding: 'utf8' });
  deepEqual([stdout, signal], ['before\n', 'SIGKILL']);
});

test('[B7] ids have their kind and do not repeat', () => {
  const dice = seededDice(1);
  const made = Array.from({ length: 20_000 }, () => newId('machine', dice));
  equal(new Set(made).size, made.length);
  for (const id of made.slice(0, 100)) deepEqual([isId('machine', id), isId('host', id)], [true, false]);
  ok(isId('host', newId('host', systemDice)));
  fc.assert(fc.property(fc.string(), (text) => isId('machine', text) === /^m[a-z2-7]{10}$/.test(text)));
  deepEqual(Array.from({ length: 5 }, () => newId('app', seededDice(9))), Array.from({ length: 5 }, () => newId('app', seededDice(9))));
});

test('[B8] anything thrown becomes a StrataError that keeps its cause', () => {
  const own = new StrataError('own', { code: 'x.own', kind: 'refused' });
  equal(asStrataError(own, 'doing'), own);
  fc.assert(fc.property(fc.anything(), (thrown) => {
    fc.pre(!(typeof thrown === 'object' && thrown !== null)); // an object may refuse to become a text
    const error = asStrataError(thrown, 'doing it');
    return error.code === 'base.unexpected' && error.message.startsWith('doing it: ') && Object.is(error.cause, thrown) || thrown === undefined;
  }));
});

test('[B7] platforms are read as architectures, and nothing else is', () => {
  deepEqual(['linux/amd64', 'linux/arm64/v8', 'arm64', 'x86_64', 'windows/amd64', 'linux/riscv64', '', 'linux'].map(architectureOfPlatform), ['x86_64', 'aarch64', 'aarch64', 'x86_64', undefined, undefined, undefined, undefined]);
});
