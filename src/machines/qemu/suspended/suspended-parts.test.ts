/** The command line of a machine that goes on, and what it must have in common with what was suspended. */
import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { testMachine } from '../../testing/test-daemon.ts';
import { misfit } from './check-suspended.ts';
import { devicesKey, suspendedCommand, type SuspendedDevices } from './suspended-command.ts';

const mac = '02:00:00:00:00:01';
const spec = testMachine({ network: { mac, address: '10.88.0.5' } });
const disk = (serial: string, scsiId: number) => ({ disk: { serial, path: `/disks/${serial}`, format: 'raw' as const, readOnly: false }, scsiId, sizeBytes: 1, modifiedMs: 2 });
const devices: SuspendedDevices = { qemuVersion: '7.2.22', architecture: 'x86_64', accelerator: 'tcg', processors: 1, memoryMiB: 256, layout: 'cold', mac, disks: [disk('scratch', 0), disk('img', 3)] };
const record = { ...devices, devices: devicesKey(devices), stateBytes: 1000, at: 1 };

test('[Q40] its disks lie where they lay, its card as it did, and no path of the host stands in its command line', () => {
  for (const layout of ['cold', 'template'] as const) {
    const { argv, descriptors, state } = suspendedCommand({ ...devices, layout }, 'maaa', { state: '/kept/state', tap: 'tap0' });
    const text = argv.join(' ');
    match(text, /"drive":"n-img","serial":"img","scsi-id":3/);
    match(text, /-incoming defer/);
    equal(/\/kept|\/disks|-kernel/.test(text), false);
    deepEqual(descriptors[state - 3], { kind: 'disk-ro', path: '/kept/state' });
    for (const fd of [...text.matchAll(/\bfd=(\d+)/g)].map((one) => Number(one[1]))) ok(descriptors[fd - 3] !== undefined, String(fd));
    equal(text.includes('bus=port-card'), layout === 'template', 'a clone\'s card is behind a port');
  }
});

test('[Q43] whatever the memory depends on is compared', () => {
  const now = { qemuVersion: '7.2.22', accelerator: 'tcg' as const, bytes: 1000 };
  equal(misfit(record, spec, now), undefined);
  match(misfit(record, spec, { ...now, qemuVersion: '10.0.0' }) ?? '', /QEMU 7\.2\.22, and this is 10\.0\.0/);
  match(misfit(record, spec, { ...now, accelerator: 'kvm' }) ?? '', /under tcg/);
  match(misfit(record, spec, { ...now, bytes: undefined }) ?? '', /is gone/);
  match(misfit(record, spec, { ...now, bytes: 999 }) ?? '', /999 bytes instead of 1000/);
  match(misfit(record, { ...spec, memoryMiB: 512 }, now) ?? '', /other memory/);
  match(misfit(record, { ...spec, network: null }, now) ?? '', /another network card/);
  match(misfit({ ...record, devices: 'older' }, spec, now) ?? '', /lays its devices otherwise/);
});

test('[Q43] the key changes with each device and its place, and not with what is kept', () => {
  const key = devicesKey(devices);
  equal(devicesKey({ ...devices, disks: devices.disks.map((one) => ({ ...one, modifiedMs: 9 })) }), key);
  for (const other of [{ layout: 'template' as const }, { processors: 2 }, { memoryMiB: 512 }, { mac: null }, { disks: [disk('scratch', 0), disk('img', 4)] }]) notEqual(devicesKey({ ...devices, ...other }), key);
});
