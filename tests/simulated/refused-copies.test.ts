/**
 * What copies of machines and disks are refused for, asked of the whole daemon: what an inspection says not to be permitted is
 * refused with that reason, before an operation begins; what is advised instead is done.
 */
import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBackend } from '#api';
import type { MachineCreate } from '#contract';
import { askMachines } from './world/ask-machines.ts';
import { openSimulatedHost, type SimulatedHost } from './world/simulated-host.ts';

let host: SimulatedHost;
const content = Buffer.alloc(64 * 1024, 'first');
before(async () => {
  // Its disks are plain files, as those of User-Mode Linux.
  host = await openSimulatedHost({ memoryMiB: 4096, engineOn: ({ copies: _copies, suspended: _suspended, ...fake }) => ({ ...fake, name: 'uml', capabilities: async () => ({ ...await fake.capabilities(), name: 'uml', suspend: false, snapshot: false }) }) });
  await writeFile(inFolder('seed.raw'), content);
});
after(() => host.close());

const machines = () => host.daemon.backend.machines;
const disks = () => host.daemon.backend.disks;
const inFolder = (...path: readonly string[]): string => join(host.instance.stateDir, ...path);
const { becomes, succeeds, removed } = askMachines(() => host);
const make = (name: string, changes: Partial<MachineCreate> = {}) => machines().create({ name, engine: 'uml', processors: 1, memoryMiB: 256, scratchMiB: 64, disks: [{ name: 'data', from: inFolder('seed.raw'), backend: 'vmm' }], start: true, ...changes });
const begun = async () => (await host.daemon.backend.operations.list({ subject: undefined, limit: undefined })).length;
const wanted = { name: 'new', full: false, start: false } as const;

test('[A13] what inspection says of a machine with disks that back ends serve is what it is refused for, and nothing begins', async () => {
  const before = await begun();
  const { actions } = await make('served', { start: false, disks: [{ name: 'data', from: inFolder('seed.raw'), backend: 'vhost-user' }] });
  const asked = {
    suspend: () => machines().suspend('served', {}), snapshot: () => machines().takeSnapshot('served', { memory: false }), restore: () => machines().restoreSnapshot('served', 'x'),
    clone: () => machines().clone('served', wanted), fork: () => machines().fork('served', 'new'),
  };
  for (const [action, ask] of Object.entries(asked)) {
    const { permitted, reason } = actions[action as keyof typeof asked];
    equal(permitted, false, action);
    await rejects(ask(), { code: 'machine.notPermitted', message: `machine served: ${reason}` });
  }
  deepEqual(await machines().snapshots('served'), []);
  equal(await begun(), before);
  await removed('served');
});

test('[M38] a plain disk: running it is refused at once with what helps, stopped it grows, and is copied and cloned', async () => {
  await make('u');
  await becomes('u', 'running');
  const before = await begun();
  deepEqual(await machines().snapshots('u'), []);
  await rejects(machines().clone('u', wanted), { code: 'machine.notPermitted', advice: /^`strata disk clone u data <new> --full`/ });
  const helps = { code: 'machine.engineCannot', advice: /^`strata machine stop u` first/ };
  await rejects(disks().grow('u', 'data', 128 * 1024), helps);
  await rejects(disks().copy('u', 'data', { path: inFolder('copy.raw') }), helps);
  await rejects(disks().clone('u', 'data', { ...wanted, full: true }), helps);
  await rejects(disks().clone('u', 'data', wanted), { code: 'machine.engineCannot', advice: /^add --full/ });
  await rejects(disks().copy('u', 'data', { path: '/nodir/x.raw' }), { code: 'disk.badPath', kind: 'invalid' });
  equal(await begun(), before);

  await machines().stop('u', { force: true });
  await becomes('u', 'stopped');
  await disks().grow('u', 'data', 128 * 1024);
  await succeeds(disks().copy('u', 'data', { path: inFolder('copy.raw') }));
  await succeeds(disks().clone('u', 'data', { ...wanted, full: true }));
  const { id } = await machines().get('new');
  for (const path of [inFolder('copy.raw'), inFolder('disks', id, 'data.raw')]) {
    const made = await readFile(path);
    deepEqual([made.length, made.subarray(0, content.length).equals(content)], [128 * 1024, true]);
  }
  await removed('new');
  equal(existsSync(inFolder('disks', id)), false);
  await removed('u');
});

test('[M38] a snapshot with memory is not removed as one of its disk', async () => {
  await make('kept', { start: false });
  const { layers } = host.daemon;
  const list = async () => [{ id: 's1', name: 'q1', machineId: 'm', createdAt: 1, memory: true, passing: false, disks: ['data'] }];
  const backend = openBackend({ ...layers, machines: { ...layers.machines, disks: { ...layers.machines.disks, list } } });
  const before = await begun();
  await rejects(backend.disks.removeSnapshot('kept', 'data', 'q1'), (error: Error & { readonly advice?: string }) => { match(error.message, /q1 of machine kept holds its memory/); match(error.advice ?? '', /strata machine snapshot rm kept q1/); return true; });
  equal(await begun(), before);
  await removed('kept');
});

test('[M16] a machine that is only defined needs no room; what is wrong with its disks is said before what room there is', async () => {
  const large = { memoryMiB: 2048 };
  await make('one', large);
  await rejects(make('two', large), { code: 'pool.hostFull' });
  await rejects(make('two', { ...large, disks: [{ name: 'data', from: inFolder('none.raw'), backend: 'vmm' }] }), { code: 'disk.badSource' });
  equal((await make('two', { ...large, start: false })).wanted, 'stopped');
  await removed('two');
  await removed('one');
});
