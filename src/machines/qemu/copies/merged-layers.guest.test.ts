/** Layers of a running machine that are merged beside it, with a real guest: what comes meanwhile, and every step at which a daemon may be killed. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock, systemDice } from '#base';
import { chainNow, type HeldDisk } from '../../backends/disk-snapshots.ts';
import { mergeLayers } from '../../backends/merge-layers.ts';
import type { RunningMachine } from '../../engine.ts';
import { guestIdentity } from '../../guest-identity.ts';
import type { MachineDisk, MachineSpec } from '../../machine.ts';
import { machineTurns } from '../../machine-turns.ts';
import type { EngineCopies } from '../../snapshots.ts';
import type { OpenedAgentConnection } from '../../testing/greet-agent.ts';
import { qemuBench } from '../../testing/qemu-bench.ts';
import { runInGuest } from '../../testing/run-in-guest.ts';
import { machinePlaces } from '../machine-places.ts';
import { layersFolder } from './disks-record.ts';
import { mostLayers } from './layers.ts';

const diskMiB = 96;
const scratchMiB = 64;
const { root, instance, engine, openEngine, specOf, newDisk, keep, agentOf, daemonKilledAt } = qemuBench({ letter: 'ml', subnet: 194, machine: { scratchMiB, memoryMiB: 192 } });
const copies = engine.copies as EngineCopies;
const turns = machineTurns();
const wish = (id: string, passing = true) => ({ id, name: id, memory: passing, passing });

async function begin(): Promise<{ readonly spec: MachineSpec; readonly machine: RunningMachine; readonly agent: OpenedAgentConnection }> {
  const spec = specOf({ disks: [await newDisk('data', diskMiB * 1024 ** 2)] });
  const machine = keep(await engine.start(spec));
  const agent = await agentOf(machine);
  await agent.call('awaitDisks', { serials: ['data'], timeoutMs: 20_000 }, { timeoutMs: 60_000 });
  return { spec, machine, agent };
}

/** Disks are found by their size: their serials are in no name under /dev. */
const devices = `for f in /sys/block/sd*/size; do b=\${f#/sys/block/}; b=/dev/\${b%/size}; case $(cat $f) in ${diskMiB * 2048}) data=$b;; ${scratchMiB * 2048}) scratch=$b;; esac; done`;
async function said(agent: OpenedAgentConnection, script: string): Promise<string> {
  const { code, out } = await runInGuest(agent, `${devices}; ${script}`);
  equal(code, 0, out);
  return out.trim();
}
/** Words, each in a place of its own, and one place that is written each time. */
const write = (agent: OpenedAgentConnection, at: number, disks = '$data $scratch') => said(agent, `for d in ${disks}; do for p in ${at} 0; do printf %-4096s word-${at} | dd of=$d bs=64k seek=$p conv=fsync 2>/dev/null; done; done`);
const read = (agent: OpenedAgentConnection, last: number, disks = '$data $scratch') => said(agent, `echo 3 > /proc/sys/vm/drop_caches; for d in ${disks}; do for p in $(busybox seq 0 ${last}); do dd if=$d bs=64k skip=$p count=1 2>/dev/null | busybox head -c 10 | busybox tr -d ' \\0'; echo; done; done`).then((out) => out.split('\n'));
const words = (last: number, disks = 2): string[] => Array.from({ length: disks }, () => [last, ...Array.from({ length: last }, (_, at) => at + 1)].map((at) => `word-${at}`)).flat();

const held = (spec: MachineSpec, machine: RunningMachine, serial: string): HeldDisk => {
  const disk: MachineDisk = spec.disks.find((one) => one.serial === serial) ?? { serial, path: '', format: 'raw', readOnly: false };
  return { spec, disk, places: machinePlaces(instance, spec.id), operations: machine.diskOperations };
};
const merge = (spec: MachineSpec, machine: RunningMachine, serial: string): Promise<boolean> => mergeLayers(held(spec, machine, serial), { inTurn: (work) => turns(spec.id, work) });
const copied = (spec: MachineSpec, machine: RunningMachine, id: string, passing = true): Promise<void> => turns(spec.id, async () => machine.snapshot?.(wish(id, passing)));

test('[Q70] a machine is copied far more often than it may have layers, and what it and its forks wrote is where it was', { timeout: 400_000 }, async (t) => {
  const { spec, machine, agent } = await begin();
  const times: number[] = [];
  let merged = 0;
  let over = false;
  const merging = (async () => {
    while (!over) {
      for (const serial of ['data', 'scratch']) merged += Number(await merge(spec, machine, serial));
      await systemClock.wait(50);
    }
  })();
  merging.catch(() => undefined); // told at the end
  const rounds = mostLayers + 12;
  for (let at = 1; at <= rounds; at += 1) {
    await write(agent, at);
    const began = performance.now();
    await copied(spec, machine, `p${at}`);
    times.push(performance.now() - began);
    if (at % 20 === 0) {
      const child = specOf();
      const disks = await copies.clone(spec.id, `p${at}`, child, { memory: true, full: false });
      const fork = keep(await engine.start({ ...child, disks: [...disks] }));
      const other = await agentOf(fork);
      await other.call('configure', guestIdentity(child, systemClock, systemDice));
      deepEqual(await read(other, at), words(at));
      await write(other, at + 1);
      deepEqual(await read(other, at + 1), words(at + 1));
      other.close();
      await fork.kill();
    }
    await copies.remove(spec.id, `p${at}`);
  }
  over = true;
  await merging;
  const longest = await Promise.all(['data', 'scratch'].map(async (serial) => (await chainNow(held(spec, machine, serial))).length));
  t.diagnostic(`${rounds} copies, ${merged} merges, chains of ${longest.join(' and ')}; copies took ${[1, 10, 30, rounds].map((at) => Math.round(times[at - 1] ?? 0)).join(', ')} ms`);
  ok(merged >= 4 && longest.every((length) => length < 20));
  deepEqual(await read(agent, rounds), words(rounds));
  agent.close();
  await machine.kill();
  await machine.release();
  const booted = keep(await engine.start(spec));
  const again = await agentOf(booted);
  await again.call('awaitDisks', { serials: ['data'], timeoutMs: 20_000 }, { timeoutMs: 60_000 });
  deepEqual(await read(again, rounds, '$data'), words(rounds, 1));
  deepEqual((await readdir(layersFolder(machinePlaces(instance, spec.id)))).toSorted(), (await chainNow(held(spec, booted, 'data'))).slice(0, -1).map((one) => one.path.slice(one.path.lastIndexOf('/') + 1)).toSorted(), 'nothing lies beside it');
});

/** @param more MiB that each has besides, so that merging takes its time */
async function withLayers(more = 0): Promise<Awaited<ReturnType<typeof begin>>> {
  const begun = await begin();
  for (let at = 1; at <= 9; at += 1) {
    await write(begun.agent, at);
    if (more > 0) await said(begun.agent, `busybox yes ${at} | dd of=$data bs=1M seek=${at * more} count=${more} iflag=fullblock 2>/dev/null; sync`);
    await copied(begun.spec, begun.machine, `q${at}`);
    await copies.remove(begun.spec.id, `q${at}`);
  }
  return begun;
}

test('[Q70][Q71] copies go on beside a merge, a disk copy breaks it off, and so does suspending; snapshots keep their layers', { timeout: 300_000 }, async () => {
  const { spec, machine, agent } = await withLayers(9);
  const operations = machine.diskOperations;
  ok(operations !== undefined);
  await copied(spec, machine, 'kept', false);
  for (const serial of ['data', 'scratch']) equal(await merge(spec, machine, serial), serial === 'scratch', 'what a snapshot has is left');
  await copies.remove(spec.id, 'kept');

  const whole = join(root, 'whole.raw');
  const brokenOff = rejects(merge(spec, machine, 'data'));
  await systemClock.wait(40);
  await operations.copy('data', whole);
  await brokenOff;
  equal((await stat(whole)).size, diskMiB * 1024 ** 2);

  const beside = merge(spec, machine, 'data');
  for (const id of ['b1', 'b2', 'b3']) await copied(spec, machine, id);
  equal(await beside, true);
  equal((await chainNow(held(spec, machine, 'data'))).length, 6, 'top, three copies, what was merged, and the lowest');
  await write(agent, 10);
  deepEqual(await read(agent, 10), words(10));
  for (const id of ['b1', 'b2', 'b3']) await copies.remove(spec.id, id);

  // QEMU would end where a job wrote while its devices are written down.
  await rm(whole);
  const copying = operations.copy('data', whole);
  await systemClock.wait(40);
  const told = await copied(spec, machine, 'd1').then(() => 'copied', (thrown: unknown) => (thrown as { readonly code?: unknown }).code);
  ok(['copied', 'disk.busy'].includes(String(told)), String(told)); // copied, where the disk was already
  await copying;
  await copied(spec, machine, 'd2');
  const pulling = operations.pull('data', 1).then(() => 'pulled', (thrown: unknown) => (thrown as { readonly code?: unknown }).code);
  await systemClock.wait(20);
  await copied(spec, machine, 'd3');
  ok(['pulled', 'disk.jobEnded'].includes(String(await pulling)));
  deepEqual(await read(agent, 10), words(10));
  for (const id of ['d1', 'd2', 'd3']) await copies.remove(spec.id, id);

  for (let at = 11; at <= 15; at += 1) {
    await write(agent, at);
    await copied(spec, machine, `c${at}`);
    await copies.remove(spec.id, `c${at}`);
  }
  const ended = merge(spec, machine, 'data').catch(() => false);
  await systemClock.wait(40);
  agent.close();
  await turns(spec.id, async () => machine.suspend?.());
  await ended;
  await machine.release();
  const goesOn = keep(await engine.start(spec));
  equal(goesOn.startedBy?.way, 'suspended');
  const goingOn = await agentOf(goesOn);
  deepEqual(await read(goingOn, 15), words(15));
  equal(await merge(spec, goesOn, 'scratch'), true);
  deepEqual(await read(goingOn, 15), words(15));
});

/** A daemon of its own, which merges layers and dies at this crash point. */
const mergeKilledAt = (point: string, spec: MachineSpec, serial: string): Promise<void> => daemonKilledAt(`backends.${point}`, `
  const { mergeLayers } = await import('${import.meta.dirname}/../../backends/merge-layers.ts');
  const spec = ${JSON.stringify(spec)};
  const disk = spec.disks.find((one) => one.serial === '${serial}') ?? { serial: '${serial}', path: '', format: 'raw', readOnly: false };
  const found = await engine.adopt(spec);
  console.log(await mergeLayers({ spec, disk, places: ${JSON.stringify({ stateFolder: machinePlaces(instance, spec.id).stateFolder })}, operations: found.machine.diskOperations }, { inTurn: (work) => work() }));`);

test('[Q70] a daemon killed at any step of a merge leaves a disk that reads the same, and the next one merges it', { timeout: 300_000 }, async () => {
  let { spec, machine, agent } = await withLayers();
  for (const [point, serial] of [['layersMerged', 'data'], ['layersReplaced', 'data'], ['layersReplaced', 'scratch'], ['pulled', 'scratch']] as const) {
    agent.close();
    await machine.release();
    await mergeKilledAt(point, spec, serial);
    const found = await openEngine().adopt(spec);
    ok(found.found === 'running');
    machine = keep(found.machine);
    agent = await agentOf(machine);
    deepEqual(await read(agent, 9), words(9), point);
    await copied(spec, machine, `after-${point.toLowerCase()}-${serial}`);
    await copies.remove(spec.id, `after-${point.toLowerCase()}-${serial}`);
    deepEqual(await read(agent, 9), words(9), point);
  }
  for (const serial of ['data', 'scratch']) await merge(spec, machine, serial);
  deepEqual(await read(agent, 9), words(9));
  agent.close();
  await machine.kill();
  await machine.release();
  machine = keep(await engine.start(spec));
  agent = await agentOf(machine);
  await agent.call('awaitDisks', { serials: ['data'], timeoutMs: 20_000 }, { timeoutMs: 60_000 });
  deepEqual(await read(agent, 9, '$data'), words(9, 1), 'booted from what says where it lies');
});
