/** The suite of both carriers of disks: what is done with a disk while a guest writes to it. */
import { equal, ok, rejects } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { runProcess, systemClock } from '#base';
import type { AgentConnection } from '../machines.ts';
import { runInGuest } from '../testing/run-in-guest.ts';
import type { DiskOperations } from './disk-operations.ts';

export interface CarrierUnderTest {
  operations(): DiskOperations;
  /** From now on `operations` are those of a later daemon. */
  later(): Promise<AgentConnection>;
  readonly agent: AgentConnection;
  readonly serial: string;
  /** Of 128 MiB, with an ext4. */
  readonly path: string;
  /** In the guest. */
  readonly device: string;
  /** Whether the guest sees a new size while it runs. */
  readonly growsLive: boolean;
  /** Ends and starts the machine; the disk stays. */
  restart(): Promise<AgentConnection>;
  close(): Promise<void>;
}

const mebibyte = 1024 * 1024;

export function diskOperationsContract(name: string, setup: () => Promise<CarrierUnderTest>): void {
  let it: CarrierUnderTest;
  let agent: AgentConnection;
  before(async () => { it = await setup(); agent = it.agent; });
  after(async () => { await it.close(); });
  const said = async (script: string): Promise<string> => {
    const { code, out } = await runInGuest(agent, script);
    equal(code, 0, out);
    return out;
  };

  test(`[BE8] a copy is the disk of one moment, whole and sparse, while the guest writes on (${name})`, async () => {
    const copy = `${it.path}.copy`;
    await said(`mkdir -p /mnt && mount -t ext4 ${it.device} /mnt && busybox head -c 8000000 /dev/urandom > /mnt/kept && sync && cp /mnt/kept /tmp/kept`);
    const load = runInGuest(agent, 'for i in 1 2 3 4 5 6 7 8 9 10; do cp /tmp/kept /mnt/load && sync || exit 1; done');
    await systemClock.wait(100);
    await it.operations().copy(it.serial, copy);
    equal((await load).code, 0);
    const { size, blocks } = await stat(copy);
    equal(size, 128 * mebibyte);
    ok(blocks * 512 < 100 * mebibyte, 'what is empty takes no room');
    await runProcess(['e2fsck', '-fy', '--', copy], { timeoutMs: 60_000, okCodes: [0, 1] }); // its journal is replayed, as after a power cut
    const sum = (await said('busybox sha256sum /tmp/kept')).slice(0, 64);
    await runProcess(['debugfs', '-R', `dump /kept ${copy}.kept`, copy], { timeoutMs: 60_000 });
    equal((await runProcess(['sha256sum', '--', `${copy}.kept`], { timeoutMs: 20_000 })).stdout.slice(0, 64), sum);
    await Promise.all([copy, `${copy}.kept`].map((path) => rm(path)));
  });

  test(`[BE9] a copy that is broken off leaves no file and no job, and a later daemon makes it anew (${name})`, async () => {
    const copy = `${it.path}.copy`;
    const end = new AbortController();
    const broken = it.operations().copy(it.serial, copy, { signal: end.signal });
    end.abort();
    await rejects(broken);
    equal(existsSync(copy) || existsSync(`${copy}.new`), false);
    agent = await it.later();
    await it.operations().copy(it.serial, copy);
    ok(existsSync(copy));
    await rejects(it.operations().copy(it.serial, copy), { code: 'disk.fileExists' });
    await rm(copy);
    await rejects(it.operations().copy(it.serial, '/nonexistent/folder/copy'));
    await rejects(it.operations().copy('no-such-disk', copy), { code: 'disk.notFound' });
    await it.operations().copy(it.serial, copy);
    await rm(copy);
  });

  test(`[BE10] a disk grows under its guest, never shrinks, and the guest has it at its next start at the latest (${name})`, async () => {
    const sectors = async () => Number(await said(`cat /sys/block/${it.device.slice('/dev/'.length)}/size`));
    equal(await sectors(), 128 * mebibyte / 512);
    await it.operations().grow(it.serial, 192 * mebibyte);
    await it.operations().grow(it.serial, 192 * mebibyte);
    agent = await it.later();
    equal(await it.operations().sizeBytes(it.serial), 192 * mebibyte);
    equal((await stat(it.path)).size, 192 * mebibyte);
    await rejects(it.operations().grow(it.serial, 64 * mebibyte), { code: 'disk.cannotShrink' });
    await said('cmp /tmp/kept /mnt/kept || busybox cmp /tmp/kept /mnt/kept; umount /mnt');
    if (!it.growsLive) agent = await it.restart();
    equal(await sectors(), 192 * mebibyte / 512);
  });
}
