/** Disks that come and go while the guest runs, volumes, the scratch disk, and power-off. */
import assert from 'node:assert/strict';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runProcess, waitUntil } from '#base';
import { Refusal } from '../testing/line-client.ts';
import { makeExt4, makeImage } from '../testing/images.ts';
import { openBench, type Bench } from '../testing/open-bench.ts';
import { shell } from '../testing/specs.ts';

const waits = shell('trap "exit 0" TERM; sleep 100000 & wait');
const volume = (serial: string, fields: { target?: string; readOnly?: boolean; subpath?: string } = {}) => ({ kind: 'volume' as const, serial, target: '/data', readOnly: false, ...fields });
const refusedWith = (code: string) => (error: unknown) => error instanceof Refusal && error.code === code;
const longSerial = 'vol-0123456789abcdef'; // 20 characters, all that virtio has room for

describe('disks', () => {
  let bench: Bench;
  before(async () => { bench = await openBench({ scratch: true, announced: 2 }); });
  after(() => bench.close());

  const plug = async (serial: string, bus: 'scsi' | 'virtio'): Promise<string> => {
    const path = await makeExt4(join(bench.folder, `${serial}.raw`), 64);
    await bench.guest.addDisk({ serial, path, bus });
    await bench.guest.line.call('awaitDisks', { serials: [serial], timeoutMs: 20_000 });
    return path;
  };
  const unplug = async (serial: string): Promise<void> => {
    await bench.guest.line.call('releaseDisk', { serial });
    await bench.guest.removeDisk(serial);
  };

  test('[G50] writable layers lie on the announced scratch disk', async () => {
    await bench.runToEnd({ argv: shell('head -c 3000000 /dev/urandom > /big; sync') });
    const { content } = await bench.guest.line.call('fileRead', { container: '', path: '/proc/self/mounts', offset: 0, length: 100_000 });
    assert.match(Buffer.from(content, 'base64').toString(), /\/dev\/sd\w \/scratch ext4 /);
  });

  test('[G59] where the host says how many disks there are, these alone are looked for at the start', async () => {
    const { content } = await bench.guest.line.call('fileRead', { container: '', path: '/sys/module/scsi_mod/parameters/scan', offset: 0, length: 100 });
    assert.equal(Buffer.from(content, 'base64').toString(), 'sync\n', 'it was loaded with another, and told to look by itself again');
    assert.deepEqual((await bench.guest.line.call('stats', {})).disks.toSorted(), ['img', 'scratch']);
  });

  test('[G77] a disk that was plugged in before its driver could hear of it is looked for once somebody awaits it', async () => {
    const late = await openBench({ scratch: true, announced: 1 });
    try {
      assert.deepEqual((await late.guest.line.call('stats', {})).disks, ['img']);
      await late.guest.line.call('awaitDisks', { serials: ['scratch'], timeoutMs: 20_000 });
      const { state } = await late.runToEnd({ argv: ['true'] });
      assert.deepEqual([state.exitCode, state.error], [0, '']);
    } finally { await late.close(); }
  });

  for (const bus of ['scsi', 'virtio'] as const) {
    test(`[G51] a ${bus} disk plugged in later is found by its serial, carries a volume, and goes`, async () => {
      const serial = bus === 'scsi' ? 'vol-scsi' : longSerial;
      const path = await plug(serial, bus);
      const { out } = await bench.runToEnd({ argv: shell('echo kept > /data/f; cat /data/f'), mounts: [volume(serial)] });
      assert.equal(out, 'kept\n');
      await unplug(serial);
      const { stdout } = await runProcess(['debugfs', '-R', 'cat /f', path]);
      assert.equal(stdout, 'kept\n');
      assert.ok(!(await bench.guest.line.call('stats', {})).disks.includes(serial));
    });
  }

  test('[G78] each disk has a link by its serial, from the start or as soon as it is known to be there, until it goes; a serial that is a path has none', async () => {
    const links = async () => (await bench.exec('', ['/bin/busybox', 'ls', '-A', '/dev/disk/by-id'])).out.split('\n').filter((one) => one !== '');
    const serialBehind = async (link: string) => (await bench.exec('', shell(`/bin/busybox cat /sys/block/$(/bin/busybox basename $(/bin/busybox readlink -f /dev/disk/by-id/${link}))/device/vpd_pg80`))).out.slice(4);
    assert.deepEqual(await links(), ['img', 'scratch']);
    await plug('vol-one', 'scsi');
    await plug('vol-two', 'virtio');
    const path = await makeExt4(join(bench.folder, 'paths.raw'), 64);
    const hostile = [['vol-out', '../../sda'], ['vol-dots', '..'], ['vol-dev', '/dev/sda']] as const;
    for (const [serial, tells] of hostile) await bench.guest.addDisk({ serial, tells, path, readOnly: true });
    await bench.guest.line.call('awaitDisks', { serials: hostile.map(([, tells]) => tells), timeoutMs: 20_000 });
    assert.deepEqual(await links(), ['img', 'scratch', 'vol-one', 'vol-two']);
    for (const serial of ['img', 'scratch', 'vol-one']) assert.equal(await serialBehind(serial), serial);
    assert.match((await bench.exec('', ['/bin/busybox', 'readlink', '/dev/disk/by-id/vol-two'])).out, /^\.\.\/\.\.\/vd[a-z]\n$/);
    assert.equal((await bench.exec('', ['/bin/busybox', 'ls', '-A', '/dev/disk'])).out, 'by-id\n');
    for (const serial of ['vol-one', 'vol-two', ...hostile.map(([one]) => one)]) await unplug(serial);
    await bench.guest.addDisk({ serial: 'vol-three', path, readOnly: true }); // under the device name of one that went
    await bench.guest.line.call('awaitDisks', { serials: ['vol-three'], timeoutMs: 20_000 });
    assert.equal(await serialBehind('vol-three'), 'vol-three');
    await unplug('vol-three');
    await waitUntil(async () => (await links()).join() === 'img,scratch', { what: 'links of disks that went are gone', limitMs: 10_000 });
  });

  test('[G52] a disk that does not come is named after the limit', async () => {
    await assert.rejects(bench.guest.line.call('awaitDisks', { serials: ['img', 'never'], timeoutMs: 100 }), (error: unknown) => refusedWith('diskMissing')(error) && /never/.test((error as Error).message));
  });

  test('[G53] a fresh volume takes contents, owner and mode of the folder under it, once', async () => {
    await plug('vol-fresh', 'scsi');
    const first = await bench.runToEnd({ argv: shell('cat /data/seed; stat -c "%a %u %g" /data /data/seed; rm /data/seed; echo own > /data/own'), user: 'app', mounts: [volume('vol-fresh')] });
    assert.equal(first.out, 'from the image\n750 1000 1001\n644 1000 1001\n');
    const second = await bench.runToEnd({ argv: shell('ls /data'), user: 'app', mounts: [volume('vol-fresh')] });
    assert.equal(second.out, 'own\n');
    await unplug('vol-fresh');
  });

  test('[G54] a part of a volume can be mounted, read-only where said, never what lies outside', async () => {
    await plug('vol-part', 'scsi');
    await bench.runToEnd({ argv: shell('mkdir -p /all/a/b; echo deep > /all/a/b/f; ln -s /etc /all/out'), mounts: [volume('vol-part', { target: '/all' })] });
    const part = await bench.runToEnd({ argv: shell('cat /data/f; echo x > /data/g || echo refused'), mounts: [volume('vol-part', { subpath: 'a/b', readOnly: true })] });
    assert.equal(part.out, 'deep\nrefused\n');
    for (const subpath of ['missing', 'out', '../..', 'a/../../..']) {
      const state = await bench.start({ argv: waits, mounts: [volume('vol-part', { subpath })] });
      assert.equal(state.exitCode, 125, subpath);
      assert.match(state.error, /vol-part/, subpath);
    }
    await unplug('vol-part');
  });

  test('[G55] a disk in use is not released; the error says so', async () => {
    await plug('vol-busy', 'scsi');
    const { id } = await bench.start({ argv: waits, mounts: [volume('vol-busy')] });
    await assert.rejects(bench.guest.line.call('releaseDisk', { serial: 'vol-busy' }), refusedWith('diskBusy'));
    assert.equal((await bench.exec(id, ['touch', '/data/still-there'])).code, 0);
    await bench.guest.line.call('containerStop', { id });
    await unplug('vol-busy');
    await bench.guest.line.call('releaseDisk', { serial: 'vol-busy' });
  });

  test('[G56] a frozen volume takes no writes until it is thawed', async () => {
    await plug('vol-cold', 'scsi');
    const { id } = await bench.start({ argv: waits, mounts: [volume('vol-cold')] });
    await bench.guest.line.call('freezeDisk', { serial: 'vol-cold', frozen: true });
    await bench.guest.line.call('freezeDisk', { serial: 'vol-cold', frozen: true });
    const writing = bench.exec(id, shell('echo w > /data/w; echo done'));
    const early = await Promise.race([writing.then(() => 'written'), bench.exec(id, ['sleep', '0.5']).then(() => 'waiting')]);
    assert.equal(early, 'waiting');
    await bench.guest.line.call('freezeDisk', { serial: 'vol-cold', frozen: false });
    assert.equal((await writing).out, 'done\n');
    await bench.guest.line.call('containerRemove', { id });
    await unplug('vol-cold');
  });

  test('[G57] an image plugged in later is shared by containers and released when they are gone', async () => {
    const path = join(bench.folder, 'second.squashfs');
    await rename(await makeImage(bench.folder), path).catch((error: unknown) => { throw error; });
    await bench.guest.addDisk({ serial: 'img-2', path, readOnly: true });
    await bench.guest.line.call('awaitDisks', { serials: ['img-2'], timeoutMs: 20_000 });
    const [one, two] = await Promise.all([bench.start({ argv: waits, imageSerial: 'img-2' }), bench.start({ argv: waits, imageSerial: 'img-2' })]);
    assert.deepEqual([one.phase, two.phase], ['running', 'running']);
    await assert.rejects(bench.guest.line.call('releaseDisk', { serial: 'img-2' }), refusedWith('diskBusy'));
    for (const { id } of [one, two]) await bench.guest.line.call('containerRemove', { id });
    await unplug('img-2');
  });

  test('[G58] power-off stops containers together, keeps what was written, and ends the machine within the grace', async () => {
    const path = await plug('vol-last', 'scsi');
    const slow = shell('trap "sleep 1; echo bye > /data/bye; exit 0" TERM; echo ready; sleep 100000 & wait');
    const { id } = await bench.start({ argv: slow, stopGraceMs: 8000, restart: { policy: 'always' }, mounts: [volume('vol-last')] });
    const others = await Promise.all([1, 2, 3].map(() => bench.start({ argv: shell('trap "" TERM; while true; do sleep 1; done'), stopGraceMs: 600_000, restart: { policy: 'always' } })));
    assert.equal(others.length, 3);
    assert.equal((await bench.state(id)).phase, 'running');
    const begun = Date.now();
    await bench.guest.line.call('powerOff', { graceMs: 4000 }, 60_000);
    assert.equal(await bench.guest.exited, 0);
    assert.ok(Date.now() - begun < 20_000, `${Date.now() - begun} ms`);
    assert.equal((await runProcess(['debugfs', '-R', 'cat /bye', path])).stdout, 'bye\n');
    assert.match((await runProcess(['dumpe2fs', '-h', path])).stdout, /Filesystem state:\s+clean\n/);
    assert.doesNotMatch((await runProcess(['dumpe2fs', '-h', path])).stdout, /needs_recovery/);
  });
});
