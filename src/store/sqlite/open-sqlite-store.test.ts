/** The SQLite driver: the contract, and what only a file can suffer. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { after, test } from 'node:test';
import { seededDice, StrataError } from '#base';
import { storeContract, takeChanges } from '../store.contract.ts';
import { migrations } from './migrations/migrations.ts';
import { openSqliteStore } from './open-sqlite-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-store-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let made = 0;
const newPath = () => join(folder, `${made += 1}`, 'store.db');

storeContract('sqlite', { open: () => openSqliteStore({ path: newPath() }) });

async function filled(path: string, count = 200): Promise<void> {
  const store = await openSqliteStore({ path });
  for (let index = 0; index < count; index += 1) await store.transact({ writes: [{ put: `a/${index}`, value: { text: 'some text that is looked for '.repeat(5), index } }] });
  await store.close();
}

test('[S10] what was written is there after closing and opening', async () => {
  const path = newPath();
  await filled(path, 3);
  const store = await openSqliteStore({ path });
  const { entries, revision } = await store.list('a/');
  deepEqual([entries.length, revision], [3, 3]);
  deepEqual((await takeChanges(store.watch('', 0, AbortSignal.timeout(5000)), 3)).map((one) => one.key), ['a/0', 'a/1', 'a/2']);
  await store.close();
});

test('[S11] a second owner is refused and told who owns it; then it may', async () => {
  const path = newPath();
  const store = await openSqliteStore({ path });
  await rejects(openSqliteStore({ path, busyMs: 1 }), (error) => error instanceof StrataError && error.code === 'store.locked' && error.details?.['pid'] === process.pid);
  await store.transact({ writes: [{ put: 'a/1', value: 1 }] });
  await store.close();
  await (await openSqliteStore({ path })).close();
});

test('[S12] damage is refused with the file\'s name, and the file is left as it is', async () => {
  const good = newPath();
  await filled(good);
  const size = readFileSync(good).length;
  const dice = seededDice(7);
  const flip = (path: string, at: number) => { const bytes = readFileSync(path); bytes[at] = (bytes[at] ?? 0) ^ 0x10; writeFileSync(path, bytes); };
  // SQLite leaves old copies in unused parts of its pages, where damage does no harm: flip them all.
  const textsAt = [...readFileSync(good).toString('latin1').matchAll(/looked for/g)].map((match) => match.index);
  const damages: [string, (path: string) => void][] = [
    ['emptied', (path) => truncateSync(path, 0)],
    ['cut in half', (path) => truncateSync(path, size / 2)],
    ['zeroed', (path) => writeFileSync(path, Buffer.alloc(size))],
    ['random', (path) => writeFileSync(path, dice.bytes(size))],
    ['a bit of each value flipped', (path) => textsAt.forEach((at) => flip(path, at))],
    ['header flipped', (path) => flip(path, 3)],
    ['a page of the middle zeroed', (path) => { const bytes = readFileSync(path); bytes.fill(0, 8192, 12288); writeFileSync(path, bytes); }],
    ['another program\'s database', (path) => { rmSync(path); execFileSync(process.execPath, ['-e', `new (require('node:sqlite').DatabaseSync)(${JSON.stringify(path)}).exec('create table t(a)')`]); }],
  ];
  for (const [name, damage] of damages) {
    const path = newPath();
    mkdirSync(join(path, '..'), { recursive: true });
    copyFileSync(good, path);
    damage(path);
    const before = readFileSync(path);
    const error = await openSqliteStore({ path }).then(() => undefined, (thrown: unknown) => thrown as StrataError);
    equal(error?.code, 'store.damaged', name);
    ok(error?.message.includes(path) && error.advice !== undefined, name);
    if (name !== 'another program\'s database') deepEqual(readFileSync(path), before, name);
  }
});

test('[S12] a log without its file is refused, not begun anew', async () => {
  const path = newPath();
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(`${path}-wal`, 'x');
  await rejects(openSqliteStore({ path }), { code: 'store.damaged' });
});

test('[S13] a full disk refuses writes, keeps reads, heals', { skip: process.getuid?.() === 0 ? false : 'needs root to mount' }, async () => {
  const mount = join(folder, 'small');
  mkdirSync(mount);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', mount]);
  try {
    const store = await openSqliteStore({ path: join(mount, 'store.db') });
    await store.transact({ writes: [{ put: 'a/1', value: 'kept' }] });
    writeFileSync(join(mount, 'filler'), Buffer.alloc(1024 * 1024));
    const big = 'x'.repeat(300 * 1024);
    let failure: StrataError | undefined;
    let acknowledged = 0;
    for (let index = 0; index < 10 && failure === undefined; index += 1) {
      await store.transact({ writes: [{ put: `b/${index}`, value: big }] }).then(() => { acknowledged += 1; }, (thrown: unknown) => { failure = thrown as StrataError; });
    }
    deepEqual([failure?.code, failure?.kind], ['store.diskFull', 'exhausted']);
    const small = await Promise.allSettled([store.transact({ writes: [{ put: 'c/big', value: big }] }), store.transact({ writes: [{ delete: 'a/none' }] })]);
    deepEqual(small.map((one) => one.status), ['rejected', 'fulfilled']);
    equal((await store.get('a/1'))?.value, 'kept');
    equal((await store.list('b/')).entries.length, acknowledged);
    rmSync(join(mount, 'filler'));
    equal((await store.transact({ writes: [{ put: 'a/2', value: 'again' }] })).committed, true);
    equal((await store.list('')).revision, acknowledged + 2);
    await store.close();
    const again = await openSqliteStore({ path: join(mount, 'store.db') });
    equal((await again.get('a/2'))?.value, 'again');
    await again.close();
  } finally {
    execFileSync('umount', [mount]);
  }
  ok(!readFileSync('/proc/self/mounts', 'utf8').includes(mount));
});

test('[S14] the history stays within its bounds by itself', async () => {
  const store = await openSqliteStore({ path: newPath(), historyChanges: 100, historyBytes: 50_000 });
  for (let index = 0; index < 500; index += 1) await store.transact({ writes: [{ put: 'a/1', value: index }] });
  await rejects(takeChanges(store.watch('a/', 380, AbortSignal.timeout(5000)), 1), { code: 'store.compacted' });
  equal((await takeChanges(store.watch('a/', 470, AbortSignal.timeout(5000)), 30)).at(-1)?.value, 499);
  await store.transact({ writes: [{ put: 'a/2', value: 'x'.repeat(60_000) }] });
  await rejects(takeChanges(store.watch('a/', 490, AbortSignal.timeout(5000)), 1), { code: 'store.compacted' });
  equal((await store.list('a/')).entries.length, 2);
  await store.close();
});

test('[S15] newer schemas are refused, older ones copied and upgraded, failed upgrades undone', async () => {
  const path = newPath();
  await filled(path, 3);
  const next = [...migrations, 'CREATE TABLE later (name TEXT PRIMARY KEY) STRICT'];
  await rejects(openSqliteStore({ path, migrations: [...migrations, 'CREATE TABLE half (name TEXT) STRICT; not sql'] }), { code: 'store.failed' });
  await (await openSqliteStore({ path })).close();
  const upgraded = await openSqliteStore({ path, migrations: next });
  equal((await upgraded.list('a/')).entries.length, 3);
  await upgraded.close();
  ok(existsSync(`${path}.before-${next.length}`));
  await rejects(openSqliteStore({ path }), (error) => error instanceof StrataError && error.code === 'store.newerSchema' && error.kind === 'refused');
  const old = await openSqliteStore({ path: `${path}.before-${next.length}` });
  equal((await old.list('a/')).entries.length, 3);
  await old.close();
});

test('[S12] an unreadable place is named', async () => {
  await rejects(openSqliteStore({ path: '/proc/no/store.db' }), (error) => error instanceof StrataError && /\/proc\/no/.test(error.message));
});
