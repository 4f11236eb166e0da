/** Memory copied from outside, of a stand-in whose mappings are read for comparison. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { open, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, test } from 'node:test';
import { runProcess, signalProcess, waitUntil } from '#base';
import { copyableLibraryOf } from './ensure-launcher.ts';
import { copyMemory, fillVmm, type GuestMemory, type KeeperRecord } from './index.ts';
import { openLaunchTest, statusField, tellsWrites, type LaunchTest } from './testing/stand-in-vmm.ts';

let it: LaunchTest;
beforeEach(async () => { it = await openLaunchTest(); });
afterEach(async () => { await it.close(); });

interface Mapping extends GuestMemory { readonly rights: string; readonly path: string }

async function mappingsOf({ vmm }: KeeperRecord): Promise<readonly Mapping[]> {
  const lines = (await readFile(`/proc/${vmm.pid}/maps`, 'utf8')).trim().split('\n');
  return lines.map((line) => {
    const [range = '', rights = '', , , , path = ''] = line.split(/\s+/);
    const [start = '', end = ''] = range.split('-');
    return { address: start, bytes: Number(BigInt(`0x${end}`) - BigInt(`0x${start}`)), rights, path };
  });
}

async function memoryOf({ vmm }: KeeperRecord, { address, bytes }: GuestMemory): Promise<Buffer> {
  const file = await open(`/proc/${vmm.pid}/mem`, 'r');
  try { return (await file.read(Buffer.alloc(bytes), 0, bytes, Number.parseInt(address, 16))).buffer; } finally { await file.close(); }
}

/** How many pages have a word of busy-memory.c: 12,288 where it has them all. */
async function pagesWithRound(path: string): Promise<number> {
  const memory = await readFile(path);
  return Array.from({ length: memory.length / 4096 }, (_, at) => memory.readBigUInt64LE(at * 4096)).filter((word) => word > 0n && word < 2n ** 32n).length;
}

const copyAtOnce = (...[launcher, record, memory, path]: [string, KeeperRecord, GuestMemory, string]): Promise<void> => {
  const { begun, copied } = copyMemory(launcher, record, memory, path, Promise.resolve());
  return begun.then(() => copied);
};

test('[J18] a copy has all of a process\'s own memory, and holes where nothing was touched', async () => {
  const record = await it.start('x=$(printf "%5000s" kept); exec 4</dev/null; while :; do /bin/busybox sleep 1000; done');
  const own = (await mappingsOf(record)).filter((one) => one.rights.startsWith('rw') && (one.path === '[stack]' || one.path === '[heap]'));
  ok(own.length > 0);
  await signalProcess(record.vmm, 'SIGSTOP');
  for (const [at, memory] of own.entries()) {
    const path = join(it.root, `memory-${at}`);
    const standsStill = Promise.withResolvers<void>();
    const { begun, copied } = copyMemory(it.launcher, record, memory, path, standsStill.promise);
    await begun;
    const { size, blocks, mode } = await stat(path);
    deepEqual([size, blocks, mode & 0o777], [memory.bytes, 0, 0o600], 'nothing of it is a file\'s');
    standsStill.resolve();
    await copied;
    ok((await readFile(path)).equals(await memoryOf(record, memory)), memory.path);
    ok((await stat(path)).blocks * 512 <= memory.bytes);
    await rejects(copyAtOnce(it.launcher, record, memory, path), /cannot make the file/, 'what lies there is somebody\'s');
    await rm(path);
  }
});

test('[J27] what a process writes while it is copied is in the copy, though little is left for when it stands still', { timeout: 60_000 }, async () => {
  const [program, bytes] = [join(it.root, 'busy'), 64 * 1024 * 1024];
  await runProcess(['gcc', '-O1', '-Wall', '-Werror', '-o', program, join(import.meta.dirname, 'testing/busy-memory.c')], { timeoutMs: 60_000 });
  const copyable = { LD_PRELOAD: copyableLibraryOf(it.launcher) };
  for (const [at, { env, words }] of [{ env: copyable, words: [] }, { env: copyable, words: ['shared'] }, { env: {}, words: [] }, { env: {}, words: ['shared'] }].entries()) {
    const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'], env });
    try {
      const rounds = createInterface(child.stdout)[Symbol.asyncIterator]();
      const address = String((await rounds.next()).value);
      const record = { vmm: { pid: child.pid, startTicks: Number((await readFile(`/proc/${child.pid}/stat`, 'utf8')).split(') ')[1]?.split(' ')[19]) } } as KeeperRecord;
      const [never, cutOff] = [Promise.withResolvers<void>(), join(it.root, `cut-off-${at}`)];
      const cut = copyMemory(it.launcher, record, { address, bytes }, cutOff, never.promise);
      await cut.begun;
      never.reject(new Error('it does not stand still'));
      await rejects(cut.copied, /nobody said that the machine stands still/);
      for (const name of [`first-${at}`, `second-${at}`]) {
        const [path, standsStill] = [join(it.root, name), Promise.withResolvers<void>()];
        const { begun, copied, over } = copyMemory(it.launcher, record, { address, bytes }, path, standsStill.promise);
        await begun;
        const ahead = await pagesWithRound(path);
        child.kill('SIGSTOP');
        await waitUntil(async () => (await statusField(record.vmm.pid, 'State')).startsWith('T'), { what: 'it stands still', limitMs: 10_000 });
        standsStill.resolve();
        await copied;
        ok((await readFile(path)).equals(await memoryOf(record, { address, bytes })));
        child.kill('SIGCONT');
        await over;
        equal(ahead > 10_000, tellsWrites && env === copyable, `${ahead} pages ahead`);
        await rounds.next();
      }
    } finally {
      child.kill('SIGKILL');
      await once(child, 'close');
    }
  }
});

test('[J18] what is not that process\'s memory is refused: another process, no such place, a file that may change', async () => {
  const record = await it.start('exec /bin/busybox sleep 1000');
  const all = await mappingsOf(record);
  const stack = all.find((one) => one.path === '[stack]') as Mapping;
  const path = join(it.root, 'memory');
  const other = { ...record, vmm: { ...record.vmm, startTicks: record.vmm.startTicks + 1 } };
  await rejects(copyAtOnce(it.launcher, other, stack, path), { code: 'machine.copyFailed', message: /the machine is gone/ });
  await rejects(copyAtOnce(it.launcher, record, { address: '1000', bytes: 4096 }, path), /not where it is said to be/);
  await rm(path, { force: true });
  await rejects(copyAtOnce(it.launcher, record, { address: stack.address, bytes: stack.bytes + 1 }, path), /no size of memory/);
  const text = all.find((one) => one.path.endsWith('busybox')) as Mapping;
  await rejects(copyAtOnce(it.launcher, record, text, path), /made of something that may change/);
  equal((await stat(path)).size, text.bytes);
});

test('[J21] a VMM that is told of has all of the memory it begins with, holes are holes, and what it writes is its own', async () => {
  const [path, bytes, piece] = [join(it.root, 'kept'), 64 * 1024 * 1024, randomBytes(1024 * 1024)];
  const kept = await open(path, 'wx', 0o600);
  try {
    await kept.truncate(bytes);
    for (let at = 0; at < bytes; at += 2 * piece.length) await kept.write(piece, 0, piece.length, at);
  } finally {
    await kept.close();
  }
  const { vmm, keeper } = await it.start('printf written >&4; exec /bin/busybox sleep 1000', { descriptors: [{ kind: 'copied-memory', path }] });
  equal((await readFile(`/proc/${keeper.pid}/task/${keeper.pid}/children`, 'utf8')).trim(), String(vmm.pid), 'who copies has ended');
  const copy = await open(`/proc/${vmm.pid}/fd/4`, 'r');
  try {
    const { size, blocks } = await copy.stat();
    deepEqual([size, blocks * 512 <= bytes / 2 + 64 * 1024], [bytes, true]);
    const { buffer } = await copy.read(Buffer.alloc(piece.length), 0, piece.length, bytes - 2 * piece.length);
    ok(buffer.equals(piece), 'to its end');
  } finally {
    await copy.close();
  }
  ok((await readFile(path)).subarray(0, piece.length).equals(piece));
});

test('[J26] what a VMM began with empty is filled once, with the same holes, or not at all', async () => {
  const [bytes, piece] = [8 * 1024 * 1024, randomBytes(64 * 1024)];
  const [memory, state, short] = ['memory', 'state', 'short'].map((name) => join(it.root, name)) as [string, string, string];
  for (const [path, size, at] of [[memory, bytes, bytes - piece.length], [state, piece.length, 0], [short, bytes - 4096, 0]] as const) {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.truncate(size);
      await file.write(piece, 0, piece.length, at);
    } finally {
      await file.close();
    }
  }
  const record = await it.start('exec /bin/busybox sleep 1000', { descriptors: [{ kind: 'empty-state' }, { kind: 'empty-memory', bytes }, { kind: 'disk-ro', path: state }] });
  const first = 4; // as the one above
  const fill = (one = record, of = memory, then = state) => fillVmm(it.launcher, one, [{ descriptor: first + 1, path: of }, { descriptor: first, path: then }]);
  await rejects(fill({ ...record, vmm: { ...record.vmm, startTicks: record.vmm.startTicks + 1 } }), { code: 'machine.copyFailed', message: /the machine is gone/ });
  await rejects(fill(record, short), /cannot be filled with/, 'of another size');
  await rejects(fill(record, memory, join(it.root, 'none')), /cannot open the disk/);
  await rejects(fillVmm(it.launcher, record, [{ descriptor: first + 2, path: state }]), /cannot be filled|nothing to be filled/, 'a file');
  await fill();
  for (const [descriptor, path] of [[first, state], [first + 1, memory]] as const) {
    const filled = await open(`/proc/${record.vmm.pid}/fd/${descriptor}`, 'r');
    try {
      const { size, blocks } = await filled.stat();
      deepEqual([size, blocks * 512], [(await stat(path)).size, piece.length], 'holes are holes');
      ok((await filled.readFile()).equals(await readFile(path)));
    } finally {
      await filled.close();
    }
  }
  await rejects(fill(), /cannot be filled with/, 'it is full');
});
