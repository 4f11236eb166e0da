/** The command line as a value. */
import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { testMachine } from '../testing/test-daemon.ts';
import { firstDescriptor } from '../launcher/index.ts';
import { checkSpec } from './check-spec.ts';
import { vmmCommand, type VmmFacts } from './command-line.ts';
import { driveNode } from './drives.ts';
import { kernelCommandLine } from './kernel-command-line.ts';

const facts: VmmFacts = { accelerator: 'tcg', kernel: { kernel: '/k', initramfs: '/i' }, tap: null, scratch: null, seed: null };
const valuesOf = (argv: readonly string[], option: string): string[] => argv.flatMap((one, at) => (one === option ? [argv[at + 1] ?? ''] : []));

test('[Q6] nothing by default: no devices, no configuration files, no display, and the sandbox on', () => {
  const { argv, program } = vmmCommand(testMachine(), facts);
  equal(program, '/usr/bin/qemu-system-x86_64');
  for (const option of ['-nodefaults', '-no-user-config']) ok(argv.includes(option), option);
  deepEqual(valuesOf(argv, '-sandbox'), ['on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny']);
  deepEqual(valuesOf(argv, '-display'), ['none']);
  for (const option of ['-drive', '-runas', '-daemonize', '-pidfile', '-vnc', '-monitor', '-qmp', '-usb', '-virtfs']) equal(argv.includes(option), false, option);
});

test('[Q7] each descriptor the command line names is the one that is handed in', () => {
  const spec = testMachine({ disks: [{ serial: 'v-a', path: '/d/a', format: 'qcow2', readOnly: false }, { serial: 'i-b', path: '/d/b', format: 'raw', readOnly: true }] });
  const { argv, descriptors } = vmmCommand(spec, { ...facts, tap: 'tap0', scratch: '/s' });
  const named = argv.flatMap((one) => [...one.matchAll(/\bfd=(\d+)/g)].map((found) => descriptors[Number(found[1]) - firstDescriptor]));
  deepEqual(named, descriptors);
  deepEqual(descriptors, [
    { kind: 'listen', name: 'm' }, { kind: 'listen', name: 'p' }, { kind: 'listen', name: 'a' }, { kind: 'console' }, { kind: 'tap', name: 'tap0' },
    { kind: 'disk-rw', path: '/s' }, { kind: 'disk-rw', path: '/d/a' }, { kind: 'disk-ro', path: '/d/b' },
  ]);
  const drives = valuesOf(argv, '-blockdev').map((text) => JSON.parse(text) as { driver: string; 'read-only': boolean; file: { filename: string } });
  deepEqual(drives.map((one) => [one.driver, one['read-only'], one.file.filename]), [['raw', false, '/dev/fdset/8'], ['qcow2', false, '/dev/fdset/9'], ['raw', true, '/dev/fdset/10']]);
  equal(argv.some((one) => one.includes('/d/') || one.includes('"/s"')), false, 'no path of the host');
});

test('[Q8] a disk has a stated format, no backing file, locks, and its serial', () => {
  for (const format of ['raw', 'qcow2'] as const) {
    const node = driveNode({ serial: 'v-1', path: '/x', format, readOnly: false }, 3) as { driver: string; backing?: unknown; file: { driver: string; locking: string } };
    deepEqual([node.driver, node.file.driver, node.file.locking], [format, 'file', 'on']);
    equal('backing' in node, format === 'qcow2');
    equal(node.backing ?? null, null);
  }
});

test('[Q9] the agent\'s port has the name the agent looks for; the card has the machine\'s MAC', () => {
  const { argv } = vmmCommand(testMachine(), { ...facts, tap: 'tap0' });
  ok(valuesOf(argv, '-device').some((one) => one.startsWith('virtserialport,') && one.endsWith('name=strata.agent')));
  ok(valuesOf(argv, '-device').includes('virtio-net-pci,netdev=net,mac=02:00:0a:c9:00:05,romfile='));
  throws(() => vmmCommand(testMachine({ network: { mac: '02:00:0a:c9:00:05,romfile=/x', address: '10.0.0.1' } }), { ...facts, tap: 'tap0' }), /no MAC/);
});

test('[Q10] the accelerator decides processor and kernel\'s words; an architecture its machine', () => {
  const tcg = vmmCommand(testMachine(), facts).argv;
  match(valuesOf(tcg, '-accel')[0] ?? '', /^tcg,tb-size=\d+$/);
  deepEqual(valuesOf(tcg, '-cpu'), ['max,-erms,-fsrm'], 'string instructions are not fast where they are translated');
  match(kernelCommandLine('x86_64', 'tcg', { scratch: false, disks: 0, cardLater: false }), /console=ttyS0 .*mitigations=off/);
  equal(kernelCommandLine('x86_64', 'kvm', { scratch: false, disks: 0, cardLater: false }).includes('mitigations'), false);
  deepEqual(valuesOf(vmmCommand(testMachine(), { ...facts, accelerator: 'kvm' }).argv, '-cpu'), ['host']);
  for (const [architecture, accelerator, told] of [['x86_64', 'tcg', true], ['x86_64', 'kvm', false], ['aarch64', 'tcg', false]] as const) {
    const argv = vmmCommand(testMachine({ architecture }), { ...facts, accelerator, tscKhz: 2_096_060 }).argv;
    equal(argv.some((one) => one.includes(' tsc_early_khz=2096060')), told, 'the speed of the counter that it sees');
  }
  equal(tcg.some((one) => one.includes('tsc_early_khz')), false, 'nor where nobody knows it');
  const three = { scratch: '/s', seed: null } as const;
  ok(vmmCommand(testMachine({ disks: [{ serial: 'a', path: '/a', format: 'raw', readOnly: true }, { serial: 'b', path: '/b', format: 'raw', readOnly: false, backend: 'vhost-user' }] }), { ...facts, ...three }).argv.some((one) => one.includes(' strata.disks=2 ')), 'those of the controller: what a back end serves lies elsewhere');
  const arm = vmmCommand(testMachine({ architecture: 'aarch64' }), facts);
  deepEqual([arm.program, valuesOf(arm.argv, '-cpu')[0]], ['/usr/bin/qemu-system-aarch64', 'cortex-a72']);
  match(kernelCommandLine('aarch64', 'tcg', { scratch: true, disks: 1, cardLater: false }), /console=ttyAMA0/);
});

test('[Q11] what the engine cannot do is refused with the reason', () => {
  const disk = { serial: 'os', path: '/os', format: 'raw', readOnly: false } as const;
  throws(() => checkSpec(testMachine({ boot: { kind: 'disk' }, disks: [] }), ['x86_64']), { code: 'machine.engineCannot', message: /boots its first disk, but has none/ });
  throws(() => checkSpec(testMachine({ disks: [disk, disk] }), ['x86_64']), { code: 'machine.engineCannot', message: /two disks of one serial/ });
  throws(() => checkSpec(testMachine({ disks: [{ ...disk, serial: 'scratch' }] }), ['x86_64']), { code: 'machine.engineCannot' });
  throws(() => checkSpec(testMachine({ architecture: 'aarch64' }), ['x86_64']), { code: 'machine.engineMissing', message: /aarch64 is not installed/ });
  throws(() => checkSpec(testMachine({ memoryMiB: 79 }), ['x86_64']), { code: 'machine.engineCannot', message: /has 79 MiB of memory, and our guest OS for x86_64 needs at least 80 MiB/ });
  checkSpec(testMachine({ memoryMiB: 80 }), ['x86_64']);
  checkSpec(testMachine({ architecture: 'aarch64', memoryMiB: 64 }), ['aarch64']);
  checkSpec(testMachine({ memoryMiB: 64, boot: { kind: 'disk' }, disks: [disk] }), ['x86_64']);
});

test('[Q12] whatever a disk is called, it is data: no option, no other file', () => {
  fc.assert(fc.property(fc.stringMatching(/^[a-z0-9-]{1,20}$/), fc.string(), fc.constantFrom('raw', 'qcow2'), fc.boolean(), (serial, path, format, readOnly) => {
    const { argv } = vmmCommand(testMachine({ disks: [{ serial, path, format, readOnly }] }), facts);
    const [text = ''] = valuesOf(argv, '-blockdev');
    deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(driveNode({ serial, path, format, readOnly }, 7))));
    equal(argv.length, vmmCommand(testMachine({ disks: [{ serial: 'x', path: '/x', format, readOnly }] }), facts).argv.length);
  }));
});
