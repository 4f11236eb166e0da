/** A hundred clones of one template alive at the same time, of each architecture: no two are alike, and nothing of them stays. */
import { deepEqual, equal } from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { architectures, silentLog, type Architecture, type Instance } from '#base';
import type { RunningMachine } from '../../engine.ts';
import { ensureGuestOs } from '../../guest-os/ensure-guest-os.ts';
import type { MachineSpec } from '../../machine.ts';
import { sharedTraits, traitsOf, type GuestTraits } from '../../testing/guest-traits.ts';
import { testMachine } from '../../testing/test-daemon.ts';
import { runName, testTaps } from '../../testing/test-taps.ts';
import { openQemuEngine } from '../index.ts';

const count = Number(process.env['STRATA_CLONES'] ?? 100);
/** As many as a daemon starts at once. */
const atOnce = 8;

const name = runName('h');
const root = await mkdtemp('/tmp/strata-h-');
const instance: Instance = { name, stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: process.env['STRATA_CACHE'] ?? '/var/cache/strata', subnet: 210 };
const engine = openQemuEngine({
  instance, log: silentLog, guestOs: (architecture) => ensureGuestOs(architecture, { instance }), accelerator: async () => 'tcg', network: testTaps(name), templates: { delayMs: 3600_000 },
});

after(async () => {
  await engine.close();
  await engine.dropTemplates();
  const pids = (await readdir('/proc')).filter((pid) => /^\d+$/.test(pid));
  const commands = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  const names = await Promise.all([join(instance.runDir, 'q'), join(instance.stateDir, 'qemu'), join(instance.stateDir, 'qemu-uids')].map((folder) => readdir(folder).catch(() => [])));
  const taps = (await readdir('/sys/class/net')).filter((one) => one.startsWith(`${name}-`));
  await rm(root, { recursive: true, force: true });
  deepEqual([...commands.filter((one) => one.includes(root)), ...names.flat(), ...taps], [], 'nothing is left');
});

const hex = (number: number): string => number.toString(16).padStart(2, '0');

// The last part of an id alone is in a tap's name.
function specOf(architecture: Architecture, number: number): MachineSpec {
  return testMachine({ id: `m${architecture === 'x86_64' ? 'x' : 'a'}${number}`, architecture, engine: 'qemu', memoryMiB: 128, scratchMiB: 0, network: { mac: `02:00:0a:d6:00:${hex(number)}`, address: `10.214.0.${number}` } });
}

async function forAll<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const left = items.values();
  await Promise.all(Array.from({ length: atOnce }, async () => { for (const item of left) await work(item); }));
}

for (const architecture of architectures) {
  test(`[Q31] ${count} clones alive at once share no random number, no id, no name and no MAC (${architecture})`, { timeout: 1_200_000 }, async () => {
    const specs = Array.from({ length: count }, (_, at) => specOf(architecture, at + 1));
    const machines: RunningMachine[] = [];
    const traits: GuestTraits[] = [];
    try {
      await engine.ensureTemplate(specOf(architecture, 0));
      await forAll(specs, async (spec) => {
        const machine = await engine.start(spec);
        machines.push(machine);
        equal(machine.startedBy?.way, 'template', machine.startedBy?.why ?? '');
        const seen = await traitsOf(machine, true);
        equal(seen['mac'], spec.network?.mac);
        traits.push(seen);
      });
      equal(traits.length, count);
      deepEqual(sharedTraits(traits), []);
    } finally {
      await forAll(machines, async (machine) => {
        await machine.kill();
        await machine.release();
      });
      await forAll(specs, (spec) => engine.erase(spec.id));
    }
  });
}
