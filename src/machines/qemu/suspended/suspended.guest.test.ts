/** Suspended machines with real guests: what goes on and what does not, and every step at which a daemon may be killed. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, rmdir, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isAlive } from '#base';
import type { RunningMachine } from '../../engine.ts';
import type { MachineSpec } from '../../machine.ts';
import type { OpenedAgentConnection } from '../../testing/greet-agent.ts';
import { qemuBench } from '../../testing/qemu-bench.ts';
import { machinePlaces } from '../machine-places.ts';
import { readSuspended, suspendedState } from './suspended-record.ts';

const { instance, engine, openEngine, specOf, newDisk, keep, agentOf, daemonKilledAt } = qemuBench({ letter: 's', subnet: 195, machine: { scratchMiB: 64, memoryMiB: 256 } });

const inMemory = { container: '', path: '/run/kept-in-memory' };
const remember = (agent: OpenedAgentConnection, text: string) => agent.call('fileWrite', { ...inMemory, content: Buffer.from(text).toString('base64'), mode: 0o600, append: false });
const remembered = async (agent: OpenedAgentConnection) => Buffer.from((await agent.call('fileRead', { ...inMemory, offset: 0, length: 100 })).content, 'base64').toString();

/** A machine with a guest that answers, and something in its memory. */
async function running(spec: MachineSpec, by = engine): Promise<{ readonly machine: RunningMachine; readonly bootId: string }> {
  const machine = keep(await by.start(spec));
  const agent = await agentOf(machine);
  await agent.call('awaitDisks', { serials: [], timeoutMs: 20_000 }, { timeoutMs: 60_000 }); // it has set itself up
  await remember(agent, spec.name);
  agent.close();
  return { machine, bootId: agent.hello.bootId };
}

/** It goes on as the guest it was. */
async function goesOn(spec: MachineSpec, machine: RunningMachine, bootId: string): Promise<OpenedAgentConnection> {
  const agent = await agentOf(machine);
  equal(agent.hello.bootId, bootId, 'no boot was between');
  equal(await remembered(agent), spec.name);
  equal(await engine.suspended?.(spec), undefined, 'what was kept is dropped');
  return agent;
}

const cases = [{ architecture: 'x86_64', templates: false }, { architecture: 'x86_64', templates: true }, { architecture: 'aarch64', templates: false }] as const;
for (const { architecture, templates } of cases) {
  test(`[Q40] suspended it costs no memory, and goes on with memory, card and disks, again and again (${architecture}, ${templates ? 'clone' : 'booted'})`, { timeout: 300_000 }, async (t) => {
    const by = openEngine(templates ? {} : undefined);
    const spec = specOf({ architecture, disks: [await newDisk()], network: { mac: '02:00:0a:c3:00:05', address: '10.195.0.5' } });
    if (templates) await by.ensureTemplate(spec);
    const first = await running(spec, by);
    equal(first.machine.startedBy?.way, templates ? 'template' : 'cold', first.machine.startedBy?.why ?? '');
    const [later, gone] = [await newDisk(), await newDisk()];
    for (const disk of [gone, later]) await first.machine.attachDisk(disk);
    await first.machine.detachDisk(gone.serial);
    let { machine } = first;
    for (const round of [1, 2, 3]) {
      const before = performance.now();
      await machine.suspend?.();
      t.diagnostic(`suspended in ${Math.round(performance.now() - before)} ms, ${(await readFile(suspendedState(machinePlaces(instance, spec.id)))).length} bytes`);
      deepEqual([(await machine.exited).code, await isAlive(machine.process)], [0, false]);
      await rejects(machine.resume());
      deepEqual(await by.suspended?.(spec), { why: '' }, 'nothing that comes too late takes it away');
      const began = performance.now();
      machine = keep(await by.start(spec));
      const resumed = performance.now() - began;
      const agent = await goesOn(spec, machine, first.bootId);
      t.diagnostic(`round ${round}: it runs after ${Math.round(resumed)} ms and answers after ${Math.round(performance.now() - began)} ms`);
      deepEqual([machine.startedBy, [...await machine.disks()].sort()], [{ way: 'suspended', why: '' }, ['scratch', ...spec.disks.map((disk) => disk.serial), later.serial].sort()]);
      await agent.call('awaitDisks', { serials: [later.serial], timeoutMs: 10_000 }, { timeoutMs: 20_000 });
      const plugged = await newDisk();
      await machine.attachDisk(plugged);
      await agent.call('awaitDisks', { serials: [plugged.serial], timeoutMs: 20_000 }, { timeoutMs: 30_000 });
      await machine.detachDisk(plugged.serial);
      agent.close();
    }
  });
}

async function adopted(spec: MachineSpec): Promise<RunningMachine> {
  const found = await openEngine().adopt(spec);
  ok(found.found === 'running', `it was ${found.found}`);
  return keep(found.machine);
}

test('[Q41] a daemon killed at any step of suspending: it is suspended by the next, or goes on; nothing old is kept', { timeout: 300_000 }, async () => {
  const spec = specOf();
  const { machine: first, bootId } = await running(spec);
  let machine = first;
  for (const point of ['beforeSave', 'saving', 'beforeSuspendedRecord', 'suspended']) {
    for (const next of ['suspend', 'resume'] as const) {
      await machine.release();
      await daemonKilledAt(`qemu.${point}`, `const found = await engine.adopt(${JSON.stringify(spec)}); await found.machine.suspend();`);
      machine = await adopted(spec);
      equal(await machine.isPaused(), true, point);
      if (next === 'suspend') {
        await machine.suspend?.();
        deepEqual(await engine.suspended?.(spec), { why: '' }, point);
        machine = keep(await engine.start(spec));
      } else {
        await machine.resume();
      }
      (await goesOn(spec, machine, bootId)).close();
    }
  }
});

test('[Q42] a daemon killed at any step of going on: the next lets it go on, from what is kept or from where it stands', { timeout: 300_000 }, async () => {
  const spec = specOf();
  const { machine: first, bootId } = await running(spec);
  let machine = first;
  for (const [point, then] of [['afterLaunch', 'gone'], ['restored', 'gone'], ['beforeDropState', 'running'], ['beforeGoOn', 'running']] as const) {
    await machine.suspend?.();
    await machine.release();
    await daemonKilledAt(`qemu.${point}`, `await engine.start(${JSON.stringify(spec)});`);
    const by = openEngine();
    const found = await by.adopt(spec);
    equal(found.found, then, point);
    machine = keep(found.found === 'running' ? found.machine : await by.start(spec));
    if (found.found === 'running') {
      equal(await machine.isPaused(), true, point);
      await machine.resume();
    }
    (await goesOn(spec, machine, bootId)).close();
  }
});

test('[Q43] what cannot be used says why; a start then boots, says so, and keeps nothing of it', { timeout: 300_000 }, async () => {
  const disk = await newDisk();
  const spec = specOf({ disks: [disk] });
  const places = machinePlaces(instance, spec.id);
  const state = suspendedState(places);
  const record = join(places.stateFolder, 'suspended.json');
  const spoils: readonly (readonly [() => Promise<unknown>, RegExp])[] = [
    [() => truncate(state, 1_000_000), /has 1000000 bytes instead of \d+/],
    [() => utimes(disk.path, 1, 1), /its disk disk-\d+ was written to since/],
    [async () => writeFile(record, (await readFile(record, 'utf8')).replace(/"qemuVersion":"[^"]*"/, '"qemuVersion":"6.0.0"')), /suspended by QEMU 6\.0\.0/],
    [() => writeFile(record, '{'), /is damaged/],
  ];
  for (const [spoil, why] of spoils) {
    const { machine } = await running(spec);
    await machine.suspend?.();
    await machine.release();
    await spoil();
    match((await engine.suspended?.(spec))?.why ?? '', why);
    const booted = keep(await engine.start(spec));
    equal(booted.startedBy?.way, 'cold');
    match(booted.startedBy.why, /^its suspended state was dropped: /);
    match(booted.startedBy.why, why);
    deepEqual([await readSuspended(places), existsSync(state)], ['none', false]);
    await booted.kill();
    await booted.release();
  }
});

test('[Q43] a state that QEMU does not take is dropped too, with QEMU\'s words', { timeout: 120_000 }, async () => {
  const spec = specOf();
  const { machine } = await running(spec);
  await machine.suspend?.();
  const file = await open(suspendedState(machinePlaces(instance, spec.id)), 'r+');
  try { await file.write(Buffer.alloc(4096, 0xff), 0, 4096, 0); } finally { await file.close(); }
  deepEqual(await engine.suspended?.(spec), { why: '' }, 'its size is right');
  const booted = keep(await engine.start(spec));
  match(booted.startedBy?.why ?? '', /^its suspended state was dropped: QEMU .*its suspended state: qemu/);
});

test('[Q44] what cannot be written down leaves the machine to go on, with nothing kept', { timeout: 120_000 }, async () => {
  const spec = specOf();
  const { machine, bootId } = await running(spec);
  const places = machinePlaces(instance, spec.id);
  await mkdir(suspendedState(places)); // where the file is to be
  await rejects(machine.suspend?.() ?? Promise.resolve(), (error: Error) => { match(error.message, /suspended\.state|EISDIR|directory/); return true; });
  await rmdir(suspendedState(places));
  equal(await machine.isPaused(), true);
  await machine.resume();
  (await goesOn(spec, machine, bootId)).close();
});
