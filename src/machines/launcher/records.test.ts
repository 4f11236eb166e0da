/** What the daemon tells the launcher and reads back from its keepers. */
import { deepEqual, equal, rejects, throws } from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { waitUntil } from '#base';
import { ensureLauncher, encodeLaunchDescription, readConsoleRing, readExitRecord, type LaunchDescription } from './index.ts';
import { straighten } from './keeper-records.ts';

const description: LaunchDescription = {
  uid: 100_000, cgroups: ['/c'], readable: [{ source: '/a' }, { source: '/b', target: '/t' }], links: [{ path: '/lib', target: 'usr/lib' }], devices: ['/dev/null'],
  descriptors: [{ kind: 'console' }, { kind: 'listen', name: 's' }, { kind: 'disk-ro', path: '/d' }], program: '/p', argv: ['p', '-x', ''],
};

test('[J10] a description is pairs in order, and a value that would make two is refused', () => {
  equal(encodeLaunchDescription(description).toString().replaceAll('\0', '|'),
    'uid|100000|gid|100000|cgroup|/c|bind|/a\t/a|bind|/b\t/t|link|usr/lib\t/lib|device|/dev/null|console||listen|s|disk-ro|/d|program|/p|argument|p|argument|-x|argument||');
  throws(() => encodeLaunchDescription({ ...description, argv: ['a\0uid'] }), { code: 'machine.badArgument' });
  throws(() => encodeLaunchDescription({ ...description, readable: [{ source: '/a\t/b' }] }), { code: 'machine.badArgument' });
});

test('[J4] records that were cut off or made up are errors, missing ones are nothing', async () => {
  const folder = await mkdtemp('/tmp/strata-rec-');
  try {
    equal(await readExitRecord(folder), undefined);
    equal((await readConsoleRing(folder)).length, 0);
    await writeFile(join(folder, 'exit.json'), '{"code":0');
    await rejects(readExitRecord(folder));
    await writeFile(join(folder, 'exit.json'), '{"code":0,"signal":null,"at":1,"stderr":"","more":1}');
    await rejects(readExitRecord(folder));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('[J6] the ring is read oldest byte first', () => {
  const size = 1024 * 1024 - 16;
  const ring = (total: number, bytes: Buffer): Buffer => {
    const head = Buffer.from('STRATARG\0\0\0\0\0\0\0\0', 'latin1');
    head.writeBigUInt64LE(BigInt(total), 8);
    return Buffer.concat([head, bytes]);
  };
  equal(straighten(ring(5, Buffer.from('hello'))).toString(), 'hello');
  const full = Buffer.alloc(size, 'a');
  full.write('NEW', 0);
  const straight = straighten(ring(size + 3, full));
  deepEqual([straight.length, straight.subarray(-3).toString(), straight.subarray(0, 3).toString()], [size, 'NEW', 'aaa']);
  equal(straighten(Buffer.from('short')).length, 0);
  equal(straighten(Buffer.alloc(40)).length, 0);
});

test('[J11] the program is compiled once', async () => {
  const folder = await mkdtemp('/tmp/strata-gcc-');
  const instance = { name: 'qgcc', stateDir: folder, runDir: folder, cacheDir: folder, subnet: 200 };
  try {
    const builds = new Set<string>();
    let made = false;
    const looking = waitUntil(async () => {
      for (const name of await readdir(join(folder, 'launcher')).catch(() => [])) if (name.startsWith('.build-')) builds.add(name);
      return made;
    }, { what: 'both have their program', limitMs: 120_000 });
    const [first, second] = await Promise.all([ensureLauncher(instance), ensureLauncher(instance)]);
    made = true;
    await looking;
    equal(first, second);
    equal(builds.size, 4, 'the program and three libraries, each by one compiler for both');
    const began = performance.now();
    equal(await ensureLauncher(instance), first);
    equal(performance.now() - began < 100, true);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
