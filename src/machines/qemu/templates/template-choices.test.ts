/** Keys of templates, and which are kept: pure. */
import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { testMachine } from '../../testing/test-daemon.ts';
import { firstDescriptor } from '../../launcher/index.ts';
import { vmmCommand, type VmmFacts } from '../command-line.ts';
import { chooseDropped, templateBudget, type KeptTemplate } from './choose-dropped.ts';
import { clocksAgree } from './measure-clock.ts';
import { cloneCommand, templateCommand } from './template-command.ts';
import { shapeOf, templateKey, type TemplateShape } from './template-shape.ts';

const shape: TemplateShape = { architecture: 'x86_64', accelerator: 'tcg', processors: 1, memoryMiB: 256, scratchMiB: 64, card: true, qemuVersion: '7.2.22', guestOsVersion: 'aa' };
const gibibyte = 1024 ** 3;

test('[Q35] whatever changes the guest or its devices changes the key; what a clone gets afterwards does not', () => {
  const others: TemplateShape[] = [
    { ...shape, architecture: 'aarch64' }, { ...shape, accelerator: 'kvm' }, { ...shape, processors: 2 }, { ...shape, memoryMiB: 257 }, { ...shape, scratchMiB: 65 }, { ...shape, card: false }, { ...shape, qemuVersion: '7.2.23' }, { ...shape, guestOsVersion: 'ab' },
  ];
  const keys = [shape, ...others].map(templateKey);
  equal(new Set(keys).size, keys.length);
  for (const key of keys) match(key, /^[0-9a-f]{12}$/);
  const plain = testMachine({ scratchMiB: 64 });
  const dressed = { ...plain, name: 'other', disks: [{ serial: 'v-a', path: '/d/a', format: 'raw', readOnly: false }], network: { mac: '02:00:00:00:00:77', address: '10.0.0.77' } } as const;
  equal(templateKey(shapeOf(plain, 'tcg', '1', 'a')), templateKey(shapeOf(dressed, 'tcg', '1', 'a')));
});

test('[Q35] template and clone have the same devices in the same order; disks are plugged in afterwards', () => {
  const facts: VmmFacts = { accelerator: 'tcg', kernel: { kernel: '/k', initramfs: '/i' }, tap: 'tap0', scratch: '/s', seed: null };
  const spec = testMachine({ disks: [{ serial: 'v-a', path: '/d/a', format: 'raw', readOnly: true }] });
  const devicesOf = (argv: readonly string[]) => argv.flatMap((one, at) => (one === '-device' || one === '-machine' || one === '-smp' || one === '-m' || one === '-cpu' ? [(argv[at + 1] ?? '').replace(/mac=[0-9a-f:]+/, 'mac=')] : []));
  const own = { tap: 'tap1', scratch: '/t', tscKhz: undefined };
  const [template, clone] = [templateCommand(shape, 'mt1', '/h', own), cloneCommand(spec, facts, shape, '/h')];
  deepEqual(devicesOf(template.argv), devicesOf(clone.argv));
  equal(devicesOf(clone.argv).filter((one) => /virtio-net|scsi-hd/.test(one)).length, 2);
  deepEqual(template.argv.concat(clone.argv).flatMap((one) => /mac=([0-9a-f:]+)/.exec(one)?.[1] ?? []), ['02:00:00:00:00:02', spec.network?.mac]);
  const bare = { ...shape, card: false, scratchMiB: 0 };
  equal([...templateCommand(bare, 'mt1', '/h', { ...own, tap: null, scratch: null }).argv, ...cloneCommand({ ...spec, network: null }, { ...facts, tap: null, scratch: null }, bare, '/h').argv].some((one) => /virtio-net|scsi-hd/.test(one)), false);
  deepEqual(devicesOf(vmmCommand(spec, facts).argv).filter((one) => /virtio-(serial|rng|scsi)/.test(one)), devicesOf(clone.argv).filter((one) => /virtio-(serial|rng|scsi)/.test(one)));
  deepEqual(clone.plugs.map((plug) => plug.command), ['blockdev-add', 'device_add']);
  const named = [...clone.argv.flatMap((one) => [...one.matchAll(/(?:\bfd=|\/fd\/)(\d+)/g)].map((found) => Number(found[1]))), clone.state];
  deepEqual(named.sort((one, other) => one - other), clone.descriptors.map((_, at) => at + firstDescriptor));
  equal(clone.argv.some((one) => one.includes('/d/') || one.includes('/s') && !one.includes('/fd/')), false, 'no path of the host');
  ok(!clone.argv.includes('-kernel') && template.argv.includes('-kernel'));
  ok(templateCommand(shape, 'mt1', '/h', { ...own, tscKhz: 2_096_060 }).argv.some((one) => one.includes(' tsc_early_khz=2096060')));
});

test('[Q45] a clock is right where what it passed lies between the shortest and the longest that ours can have passed', () => {
  const first = { asked: 1000, guest: 70, answered: 1030 };
  const agrees = (guest: number) => clocksAgree(first, { asked: 1280, guest, answered: 1300 });
  deepEqual([320, 330, 370, 376].map(agrees), [true, true, true, true], 'whatever the answers took');
  deepEqual([70, 290, 390, 70 + 44 * 280].map(agrees), [false, false, false, false]);
});

const kept = (key: string, more: Partial<KeptTemplate> = {}): KeptTemplate => ({ key, shape: { ...shape, memoryMiB: 256 + Number(key) }, usedBytes: 100, usedAt: 1000 + Number(key), ...more });
const facts = { made: undefined, now: 2000, budgetBytes: 250, freeBytes: 8 * gibibyte, totalBytes: 16 * gibibyte };

test('[Q37] the last used are kept within the budget', () => {
  deepEqual(chooseDropped({ ...facts, templates: [kept('1'), kept('2')] }), []);
  deepEqual(chooseDropped({ ...facts, templates: [kept('1'), kept('3'), kept('2')] }).map((one) => one.key), ['1']);
  deepEqual(chooseDropped({ ...facts, templates: [kept('1', { usedBytes: 300 })] }).map((one) => one.key), ['1']);
});

test('[Q37] with little free memory all go; unused ones go after a day', () => {
  deepEqual(chooseDropped({ ...facts, freeBytes: gibibyte, templates: [kept('1'), kept('2')] }).map((one) => one.key), ['1', '2']);
  const day = 24 * 3600_000;
  deepEqual(chooseDropped({ ...facts, now: 2000 + day, templates: [kept('1'), kept('2', { usedAt: 2000 })] }).map((one) => one.key), ['1']);
});

test('[Q37] a newer one replaces those of its shape and no others', () => {
  const old = kept('1', { shape: { ...shape, guestOsVersion: 'old' } });
  const older = kept('2', { shape: { ...shape, qemuVersion: '7.2.1' } });
  const other = kept('3', { shape: { ...shape, memoryMiB: 512, guestOsVersion: 'old' } });
  const made = kept('4', { shape });
  deepEqual(chooseDropped({ ...facts, budgetBytes: 1000, made: shape, templates: [old, older, other, made] }).map((one) => one.key).sort(), ['1', '2']);
});

test('[Q37] the budget is a sixteenth of the host\'s memory, at most 1 GiB', () => {
  equal(templateBudget(4 * gibibyte), gibibyte / 4);
  equal(templateBudget(256 * gibibyte), gibibyte);
  notEqual(templateBudget(gibibyte), 0);
});
