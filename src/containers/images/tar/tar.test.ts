/** The tar reader and writer, against GNU tar and against each other. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync, linkSync } from 'node:fs';
import { createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { runProcess } from '#base';
import { readTar } from './read-tar.ts';
import { tarEntry, tarTypes, type TarEntry } from './tar-entry.ts';
import { tarEnd, tarHeader, tarPadding } from './write-tar.ts';
import { file, tarOf } from '../testing/make-tar.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-tar-'));
after(() => { rmSync(folder, { recursive: true, force: true }); });

async function* chunked(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function readAll(source: AsyncIterable<Uint8Array>): Promise<{ entry: TarEntry; text: string }[]> {
  const items = [];
  for await (const { entry, content } of readTar(source)) {
    const parts: Buffer[] = [];
    for await (const part of content()) parts.push(part);
    items.push({ entry, text: Buffer.concat(parts).toString('latin1') });
  }
  return items;
}

const name = fc.string({ unit: fc.integer({ min: 1, max: 255 }).filter((one) => one !== 47).map((one) => String.fromCharCode(one)), minLength: 1, maxLength: 120 });
const anEntry = fc.record({
  path: fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')), type: fc.constantFrom(...tarTypes), mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.integer({ min: 0, max: 2 ** 31 - 1 }), gid: fc.integer({ min: 0, max: 2 ** 31 - 1 }), mtime: fc.integer({ min: -(2 ** 33), max: 2 ** 34 }), link: name,
  text: fc.string({ maxLength: 1500 }), xattrs: fc.dictionary(fc.constantFrom('user.a', 'security.capability'), fc.uint8Array({ maxLength: 40 })),
});

test('[I1] what is written is read, byte for byte, however it is cut', async () => {
  await fc.assert(fc.asyncProperty(fc.array(anEntry, { maxLength: 6 }), fc.integer({ min: 1, max: 3000 }), async (made, size) => {
    const entries = made.map((one) => {
      const bytes = one.type === 'file' ? Buffer.from(one.text, 'utf8') : Buffer.alloc(0);
      const entry = tarEntry({ path: one.path, type: one.type, mode: one.mode, uid: one.uid, gid: one.gid, mtime: one.mtime, size: bytes.length, linkTarget: one.type === 'symlink' || one.type === 'hardlink' ? one.link : '', xattrs: new Map(Object.entries(one.xattrs).map(([key, value]) => [key, Buffer.from(value)])) });
      return { entry, bytes };
    });
    const tar = Buffer.concat([...entries.flatMap(({ entry, bytes }) => [tarHeader(entry), bytes, tarPadding(bytes.length)]), tarEnd]);
    const read = await readAll(chunked(tar, size));
    deepEqual(read.map((one) => one.entry), entries.map((one) => one.entry));
    deepEqual(read.map((one) => one.text), entries.map((one) => one.bytes.toString('latin1')));
  }), { numRuns: 60 });
});

test('[I1] what GNU tar writes in each of its formats is read alike', async () => {
  const tree = join(folder, 'tree');
  const long = 'n'.repeat(120);
  mkdirSync(join(tree, long, 'ü'), { recursive: true });
  writeFileSync(join(tree, long, 'ü', 'a'), 'content');
  linkSync(join(tree, long, 'ü', 'a'), join(tree, 'b'));
  symlinkSync('x'.repeat(200), join(tree, 'link'));
  const seen = [];
  for (const format of ['gnu', 'pax']) {
    const path = join(folder, `${format}.tar`);
    await runProcess(['tar', '-cf', path, `--format=${format}`, '--sort=name', '-C', tree, '.']);
    seen.push((await readAll(createReadStream(path))).map(({ entry, text }) => [entry.type, entry.path, entry.linkTarget, text]));
  }
  deepEqual(seen[0], seen[1]);
  deepEqual(seen[0]?.map((one) => one[0]), ['directory', 'file', 'symlink', 'directory', 'directory', 'hardlink']);
});

test('[I1] GNU tar reads what is written', async () => {
  const path = join(folder, 'ours.tar');
  writeFileSync(path, tarOf(file(`${'d'.repeat(90)}/${'e'.repeat(90)}`, 'hello', { uid: 2 ** 30, mtime: 1_700_000_000 })));
  const { stdout } = await runProcess(['tar', '--numeric-owner', '-tvf', path]);
  equal(/1073741824\/0\s+5 2023-11-14/.test(stdout), true, stdout);
});

test('[I2] a stream that ends in the middle is refused', async () => {
  const tar = tarOf(file('a', 'x'.repeat(2000)));
  await rejects(readAll(chunked(tar.subarray(0, 1000), 100)), /ends in the middle/);
  await rejects(readAll(chunked(tar.subarray(0, 100), 100)), /ends in the middle/);
});
