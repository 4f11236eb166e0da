/** The same story of snapshots, clones and copies for a disk of each VMM that a back end serves, and for one that QEMU opens itself. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { armFailpoints, runProcess, systemClock } from '#base';
import { flatten } from '../qemu/copies/flatten-disk.ts';
import { layersFolder } from '../qemu/copies/disks-record.ts';
import { testMachine } from '../testing/test-daemon.ts';
import { runInGuest } from '../testing/run-in-guest.ts';
import { backendId, keptOfDisk } from './backend-places.ts';
import { chainNow, dropOfDisk, layersOfSnapshot, layNew, pullLayers, recordChain, restoreOfDisk, snapshotsOfDisk, takeOfDisk } from './disk-snapshots.ts';
import { mergeLayers } from './merge-layers.ts';
import { withFront } from './testing/start-front.ts';

const mebibyte = 1024 * 1024;
const subnet = 219;
const fronts = [
  { name: 'QEMU x86_64, served', engine: 'qemu', architecture: 'x86_64', served: true },
  { name: 'QEMU aarch64, served', engine: 'qemu', architecture: 'aarch64', served: true },
  { name: 'UML, served', engine: 'uml', architecture: 'x86_64', served: true },
  { name: 'QEMU x86_64, opened by itself', engine: 'qemu', architecture: 'x86_64', served: false },
] as const;

/** What lies in a file of a raw disk, as after a power cut; empty where there is no such file. */
async function fileIn(disk: string, name: string): Promise<string> {
  await runProcess(['e2fsck', '-fy', '--', disk], { timeoutMs: 60_000, okCodes: [0, 1] });
  return (await runProcess(['debugfs', '-R', `cat /${name}`, disk], { timeoutMs: 60_000 })).stdout;
}

for (const kind of fronts) {
  test(`[BE11][BE12][BE13][BE14] a disk is kept, cloned, put back and merged while its guest writes (${kind.name})`, { timeout: 420_000 }, async () => {
    await withFront(kind, subnet, async (front) => {
      const wish = (id: string) => ({ id, name: id, memory: false, passing: false });
      const said = async (script: string): Promise<string> => {
        const { code, out } = await runInGuest(front.agent(), script);
        equal(code, 0, out);
        return out.trim();
      };
      const write = (text: string) => said(`echo ${text} > /mnt/word && sync`);
      const mount = `mkdir -p /mnt && mount -t ext4 ${front.device} /mnt`;
      await said(`${mount} && busybox head -c 3000000 /dev/urandom > /tmp/kept && cp /tmp/kept /mnt/kept && sync`);
      await write('first');

      const writing = async (source: string, copies: string, work: () => Promise<void>) => {
        const [load] = await Promise.all([runInGuest(front.agent(), `for i in ${copies}; do cp ${source} /mnt/load$i && sync || exit 1; done`), work()]);
        equal(load.code, 0, load.out);
      };
      await writing('/tmp/kept', '1 2 3 4 5 6 7 8', async () => {
        await systemClock.wait(100);
        await takeOfDisk(front.held(), wish('one'), systemClock);
        await takeOfDisk(front.held(), wish('one'), systemClock);
      });
      await write('second');
      await takeOfDisk(front.held(), wish('two'), systemClock);
      await write('third');
      deepEqual((await snapshotsOfDisk(front.held())).map((one) => one.id), ['one', 'two']);
      equal((await chainNow(front.held())).length, 3);

      // Each of one moment, whatever was written since; a copy of now is as before.
      const flat = `${front.disk.path}.flat`;
      for (const [id, word] of [['one', 'first'], ['two', 'second']] as const) {
        await flatten(await layersOfSnapshot(front.held().places, front.disk, id), flat, 'raw');
        equal((await fileIn(flat, 'word')).trim(), word);
        ok((await stat(flat)).blocks * 512 < 100 * mebibyte, 'what is empty takes no room');
      }
      await rm(flat);
      await front.operations().copy(front.disk.serial, flat);
      equal((await fileIn(flat, 'word')).trim(), 'third');
      await rm(flat);

      // A clone on top of the layers is served while its source goes on; it takes no room, and goes its own way.
      const clone = testMachine({ disks: [] });
      const places = keptOfDisk(front.instance, clone.id, 'data');
      const path = join(front.instance.stateDir, 'disks', clone.id, 'data.raw');
      const linked = { ...await layNew(await layersOfSnapshot(front.held().places, front.disk, 'one'), 'data', { places, path, full: false }), backend: 'vhost-user' as const };
      ok((await stat(linked.path)).blocks * 512 < mebibyte);
      const served = await front.backends.start({ id: backendId(clone.id, 'data'), disk: linked, memoryMiB: 64 });
      await served.disks.copy('data', flat);
      equal((await fileIn(flat, 'word')).trim(), 'first');
      await served.kill();
      served.release();
      await front.backends.erase(backendId(clone.id, 'data'));
      const full = await layNew(await layersOfSnapshot(front.held().places, front.disk, 'two'), 'data', { places, path, full: true });
      deepEqual([full.format, full.backing, (await fileIn(path, 'word')).trim()], ['raw', undefined, 'second']);
      await Promise.all([rm(flat), rm(join(front.instance.stateDir, 'disks', clone.id), { recursive: true })]);

      // Cut off before the switch and right after it: no snapshot, and a disk that reads the same.
      for (const at of ['frozen', 'beforeFreeze']) {
        armFailpoints(`machines.backends.${at}=error`);
        try { await rejects(takeOfDisk(front.held(), wish('cut'), systemClock), { code: 'base.failpoint' }); } finally { armFailpoints(''); }
      }
      deepEqual((await snapshotsOfDisk(front.held())).map((one) => one.id), ['one', 'two']);

      // A later daemon, and a start anew, find the disk on its layers.
      await front.later();
      equal(await said('cat /mnt/word'), 'third');
      await said('umount /mnt');
      await front.restart();
      equal(await said(`${mount} && cat /mnt/word`), 'third');
      ok((await chainNow(front.held())).length >= 4);

      // Without its snapshots it is two files again, while the guest writes; nothing else is left.
      await takeOfDisk(front.held(), wish('three'), systemClock);
      await write('fourth');
      for (const id of ['two', 'three']) await dropOfDisk(front.held().places, id);
      await writing('/mnt/kept', '1 2 3 4', async () => {
        equal(await pullLayers(front.held(), {}), true);
        armFailpoints('machines.backends.pulled=error');
        try { await rejects(recordChain(front.held()), { code: 'base.failpoint' }); } finally { armFailpoints(''); }
      });
      equal((await chainNow(front.held())).length, 2, 'what snapshot one has stays');
      equal(await pullLayers(front.held(), {}), false);
      await takeOfDisk(front.held(), wish('four'), systemClock);

      // What passing copies leave is merged beside the disk, above what a snapshot has.
      for (const id of ['p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7', 'p8']) {
        await write(id);
        await takeOfDisk(front.held(), { ...wish(id), passing: true }, systemClock);
        await dropOfDisk(front.held().places, id);
      }
      const files = (await chainNow(front.held())).length;
      await writing('/mnt/kept', '1 2', async () => { equal(await mergeLayers(front.held(), { inTurn: (work) => work() }), true); });
      ok((await chainNow(front.held())).length <= files - 4);
      equal(await said('echo 3 > /proc/sys/vm/drop_caches; cat /mnt/word'), 'p8');
      await front.later();
      await write('fifth');
      await said('cmp /tmp/kept /mnt/kept || busybox cmp /mnt/load1 /mnt/kept; umount /mnt');

      // Back to where it was, with what is kept as it was.
      await rejects(restoreOfDisk({ ...front.held(), operations: undefined }, 'two'), { code: 'machine.snapshotNotFound' });
      await front.restart(async (nobody) => {
        await takeOfDisk(nobody, wish('five'), systemClock); // of one that nobody has open
        await restoreOfDisk(nobody, 'one');
      });
      equal(await said(`${mount} && cat /mnt/word && umount /mnt`), 'first');
      await front.restart((nobody) => restoreOfDisk(nobody, 'five'));
      equal(await said(`${mount} && cat /mnt/word && umount /mnt`), 'fifth');
      const used = (await chainNow(front.held())).map((one) => one.path);
      const layers = layersFolder(front.held().places);
      deepEqual((await readdir(layers)).filter((name) => !used.includes(join(layers, name))), [], 'nothing is left that it does not need');
    });
  });
}
