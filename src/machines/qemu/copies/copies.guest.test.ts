/** Copies of machines with real guests: snapshots, restores, clones and forks, and every step at which a daemon may be killed. */
import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { open, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { signalProcess, systemClock, systemDice, waitUntil } from '#base';
import type { RunningMachine } from '../../engine.ts';
import { guestIdentity, guestMachineId } from '../../guest-identity.ts';
import { readKeeperRecord } from '../../launcher/index.ts';
import type { MachineSpec } from '../../machine.ts';
import type { EngineCopies } from '../../snapshots.ts';
import type { OpenedAgentConnection } from '../../testing/greet-agent.ts';
import { qemuBench } from '../../testing/qemu-bench.ts';
import { machinePlaces } from '../machine-places.ts';
import { memoryFile, snapshotFolder } from './snapshot-record.ts';

const { instance, engine, openEngine, specOf, newDisk, keep, agentOf, daemonKilledAt } = qemuBench({ letter: 'k', subnet: 209, machine: { scratchMiB: 64, memoryMiB: 256 } });
const copies = engine.copies as EngineCopies;
const wish = (id: string, memory = true, passing = false) => ({ id, name: id, memory, passing });

async function shell(agent: OpenedAgentConnection, script: string): Promise<string> {
  const stream = agent.openStream();
  await agent.call('exec', { container: '', stream: stream.id, argv: ['/bin/busybox', 'sh', '-c', script], env: [], cwd: '', user: '', tty: null, stdin: false }, { timeoutMs: 60_000 });
  let said = '';
  for await (const chunk of stream.output) said += String(chunk);
  await stream.done;
  return said.trim();
}

// The disk is found by what it begins with: its serial is in no name under /dev.
const disk = 'd=$(grep -l . /sys/block/sd*/size | while read f; do b=${f#/sys/block/}; b=${b%/size}; [ "$(cat $f)" = 8192 ] && echo /dev/$b; done)';
const write = (agent: OpenedAgentConnection, text: string) => shell(agent, `${disk}; echo ${text} > /run/kept; printf %-512s ${text} | dd of=$d bs=512 count=1 conv=fsync 2>/dev/null`);
const read = (agent: OpenedAgentConnection) => shell(agent, `${disk}; echo 3 > /proc/sys/vm/drop_caches; cat /run/kept; dd if=$d bs=512 count=1 2>/dev/null | tr -d ' '`).then((said) => said.split('\n'));

/** What counts empties the file for a moment, each time. */
const counter = 'n=; while [ -z "$n" ]; do n=$(cat /run/counter); done; echo $n';

/** A machine that remembers its first word, in memory and on its disk. */
async function running(spec: MachineSpec, by = engine): Promise<{ readonly machine: RunningMachine; readonly agent: OpenedAgentConnection }> {
  const machine = keep(await by.start(spec));
  const agent = await agentOf(machine);
  await agent.call('awaitDisks', { serials: ['data'], timeoutMs: 20_000 }, { timeoutMs: 60_000 });
  await write(agent, 'first');
  return { machine, agent };
}

async function end(machine: RunningMachine, agent: OpenedAgentConnection): Promise<void> {
  agent.close();
  await machine.kill();
  await machine.release();
}

const cases = [{ architecture: 'x86_64', templates: false }, { architecture: 'x86_64', templates: true }, { architecture: 'aarch64', templates: false }] as const;
for (const { architecture, templates } of cases) {
  test(`[Q60] a machine comes back to its snapshot with memory, disks and card, again and again (${architecture}, ${templates ? 'clone' : 'booted'})`, { timeout: 300_000 }, async (t) => {
    const by = openEngine(templates ? {} : undefined);
    const spec = specOf({ architecture, disks: [await newDisk('data')], network: { mac: '02:00:0a:d1:00:05', address: '10.209.0.5' } });
    if (templates) await by.ensureTemplate(spec);
    let { machine, agent } = await running(spec, by);
    equal(machine.startedBy?.way, templates ? 'template' : 'cold', machine.startedBy?.why ?? '');
    const { bootId } = agent.hello;
    await shell(agent, '(i=0; while :; do i=$((i+1)); echo $i > /run/counter; usleep 20000; done) >/dev/null 2>&1 &');
    for (const id of ['k1', 'k2']) {
      const began = performance.now();
      await machine.snapshot?.(wish(id));
      t.diagnostic(`${id}: taken in ${Math.round(performance.now() - began)} ms, ${Math.round((await stat(memoryFile(snapshotFolder(machinePlaces(instance, spec.id), id)))).blocks / 2048)} MiB of memory`);
      await machine.snapshot?.(wish(id));
      deepEqual(await read(agent), ['first', 'first'], 'it is disturbed by nothing');
    }
    deepEqual((await copies.list(spec.id)).map((one) => [one.id, one.memory, one.disks]), [['k1', true, ['data']], ['k2', true, ['data']]]);
    for (const [id, back] of [['k1', 'first'], ['k2', 'first'], ['k3', 'second']] as const) {
      await write(agent, 'other');
      await end(machine, agent);
      await copies.restore(spec, id);
      const began = performance.now();
      machine = keep(await by.start(spec));
      agent = await agentOf(machine);
      t.diagnostic(`${id}: answers after ${Math.round(performance.now() - began)} ms`);
      deepEqual([machine.startedBy, agent.hello.bootId, await read(agent)], [{ way: 'snapshot', why: '' }, bootId, [back, back]]);
      const [first, later] = (await shell(agent, `${counter}; sleep 0.3; ${counter}`)).split('\n').map(Number) as [number, number];
      ok(later > first, `what ran runs on: ${first}, then ${later}`);
      if (id === 'k2') {
        await write(agent, 'second');
        await machine.snapshot?.(wish('k3')); // of one that went on from a snapshot
        agent.close();
        await machine.suspend?.();
        await machine.release();
        machine = keep(await by.start(spec));
        agent = await agentOf(machine);
        deepEqual([machine.startedBy?.way, await read(agent)], ['suspended', ['second', 'second']]);
      }
    }
    await end(machine, agent);
    await copies.restore(spec, 'k1');
    for (const id of ['k1', 'k2', 'k3', 'k3']) await copies.remove(spec.id, id);
    machine = keep(await by.start(spec));
    deepEqual(await read(await agentOf(machine)), ['first', 'first'], 'what was put does not go with its snapshot');
  });
}

test('[Q60] without memory a machine boots with the disks of then, whether it ran or was stopped', { timeout: 240_000 }, async () => {
  const spec = specOf({ disks: [await newDisk('data')] });
  let { machine, agent } = await running(spec);
  await machine.snapshot?.(wish('live', false));
  await write(agent, 'second');
  await end(machine, agent);
  await copies.take(spec, wish('still', false));
  await copies.take(spec, wish('still', false));
  for (const [id, back] of [['live', 'first'], ['still', 'second']] as const) {
    await copies.restore(spec, id);
    await copies.restore(spec, id);
    machine = keep(await engine.start(spec));
    agent = await agentOf(machine);
    await agent.call('awaitDisks', { serials: ['data'], timeoutMs: 20_000 }, { timeoutMs: 60_000 });
    equal(await shell(agent, `${disk}; dd if=$d bs=512 count=1 2>/dev/null | tr -d ' '`), back);
    equal(machine.startedBy?.way, 'cold');
    await write(agent, 'other');
    await end(machine, agent);
  }
  await rejects(copies.take(specOf({ disks: [] }), wish('nothing', false)), { code: 'machine.nothingToKeep' });
  await rejects(copies.take(spec, wish('memory', true)), { code: 'machine.noMemory' });
});

test('[Q65] a fork goes on as another machine: its own name, id, card and random numbers, the same memory; each goes its own way', { timeout: 240_000 }, async (t) => {
  const spec = specOf({ disks: [await newDisk('data')], memoryMiB: 512, network: { mac: '02:00:0a:d1:00:06', address: '10.209.0.6' } });
  const { machine, agent } = await running(spec);
  const child = specOf({ memoryMiB: 512, network: { mac: '02:00:0a:d1:00:07', address: '10.209.0.7' } });
  await shell(agent, '(i=0; while :; do i=$((i+1)); echo $i > /run/counter; usleep 20000; done) >/dev/null 2>&1 &\n/bin/busybox nc -l -p 99 >/dev/null 2>&1 &');
  const before = Number(await shell(agent, `sleep 0.5; ${counter}`));
  const began = performance.now();
  await machine.snapshot?.(wish('passing', true, true));
  const taken = performance.now();
  const disks = await copies.clone(spec.id, 'passing', child, { memory: true, full: false });
  const forked = keep(await engine.start({ ...child, disks: [...disks] }));
  const other = await agentOf(forked);
  t.diagnostic(`taken in ${Math.round(taken - began)} ms, the fork answers after ${Math.round(performance.now() - began)} ms`);
  await other.call('configure', guestIdentity(child, systemClock, systemDice)); // as the session does before anybody has it
  await copies.remove(spec.id, 'passing');
  deepEqual(await read(other), ['first', 'first']);
  ok(Number(await shell(other, counter)) >= before);
  match(await shell(other, '/bin/busybox netstat -ltn'), /:99 /);
  equal(await shell(other, 'hostname; cat /etc/machine-id /sys/class/net/eth0/address'), [child.name, guestMachineId(child.id), child.network?.mac].join('\n'));
  ok(Math.abs(Number(await shell(other, 'date +%s')) - Date.now() / 1000) < 3);
  notEqual(await shell(agent, 'cat /proc/sys/kernel/random/uuid'), await shell(other, 'cat /proc/sys/kernel/random/uuid'));
  await write(agent, 'mother');
  await write(other, 'child');
  deepEqual([await read(agent), await read(other)], [['mother', 'mother'], ['child', 'child']]);
  await end(machine, agent);
  await engine.erase(spec.id);
  await rm(spec.disks[0]?.path ?? '');
  deepEqual(await read(other), ['child', 'child'], 'what it shares outlives the other');
});

test('[Q65] a linked clone of 20 GB takes no time and no room, and a full one shares nothing', { timeout: 240_000 }, async (t) => {
  const spec = specOf({ disks: [await newDisk('data', 20 * 1024 ** 3)] });
  const source = spec.disks[0]?.path ?? '';
  const file = await open(source, 'r+');
  try { await file.write('content', 4096); } finally { await file.close(); }
  const child = specOf();
  const began = performance.now();
  await copies.take(spec, wish('of-it', false, true));
  const disks = await copies.clone(spec.id, 'of-it', child, { memory: false, full: false });
  const took = performance.now() - began;
  const { blocks } = await stat(disks[0]?.path ?? '');
  t.diagnostic(`a linked clone of 20 GB: ${took.toFixed(0)} ms, ${blocks * 512} bytes`);
  ok(blocks * 512 < 1024 ** 2);
  const whole = specOf();
  const [full] = await copies.clone(spec.id, 'of-it', whole, { memory: false, full: true });
  deepEqual([full?.backing, full?.format], [undefined, 'qcow2']);
  for (const id of [spec.id]) await engine.erase(id);
  await rm(source);
  for (const [disk, at] of [[disks[0], child], [full, whole]] as const) {
    const machine = keep(await engine.start({ ...at, disks: disk === undefined ? [] : [disk] }));
    const agent = await agentOf(machine);
    await agent.call('awaitDisks', { serials: ['data'], timeoutMs: 20_000 }, { timeoutMs: 60_000 });
    match(await shell(agent, 'for b in /dev/sd?; do dd if=$b bs=4096 skip=1 count=1 2>/dev/null | head -c 7 | grep content; done'), /^content$/);
    await end(machine, agent);
  }
});

test('[Q62] a daemon killed at any step of taking a snapshot leaves a machine that has all it wrote, and no half snapshot', { timeout: 300_000 }, async () => {
  const spec = specOf({ disks: [await newDisk('data')] });
  let { machine, agent } = await running(spec);
  for (const [at, point] of ['beforeFreeze', 'frozen', 'beforeSnapshotRecord'].entries()) {
    agent.close();
    await machine.release();
    await daemonKilledAt(`qemu.${point}`, `const found = await engine.adopt(${JSON.stringify(spec)}); await found.machine.snapshot(${JSON.stringify(wish(`k${at}`))});`);
    deepEqual(await copies.list(spec.id), await copies.list(spec.id));
    equal((await copies.list(spec.id)).some((one) => one.id === `k${at}`), false, point);
    const found = await openEngine().adopt(spec);
    ok(found.found === 'running', `it was ${found.found}`);
    machine = keep(found.machine);
    if (await machine.isPaused()) await machine.resume();
    agent = await agentOf(machine);
    await write(agent, `after-${at}`);
    await machine.snapshot?.(wish(`k${at}`)); // the same, run again
    await write(agent, `last-${at}`);
    await end(machine, agent);
    await copies.restore(spec, `k${at}`);
    machine = keep(await engine.start(spec));
    agent = await agentOf(machine);
    deepEqual(await read(agent), [`after-${at}`, `after-${at}`], point);
  }
  await write(agent, 'to-be-there');
  agent.close();
  await machine.release();
  await daemonKilledAt('qemu.frozen', `const found = await engine.adopt(${JSON.stringify(spec)}); await found.machine.snapshot(${JSON.stringify(wish('k9', false))});`);
  const found = await openEngine().adopt(spec);
  ok(found.found === 'running');
  await found.machine.kill();
  await found.machine.release();
  for (const point of ['beforeFreeze', 'frozen', 'beforeSnapshotRecord']) await daemonKilledAt(`qemu.${point}`, `await engine.copies.take(${JSON.stringify(spec)}, ${JSON.stringify(wish('k10', false))});`);
  machine = keep(await engine.start(spec));
  agent = await agentOf(machine);
  await agent.call('awaitDisks', { serials: ['data'], timeoutMs: 20_000 }, { timeoutMs: 60_000 });
  equal(await shell(agent, `${disk}; dd if=$d bs=512 count=1 2>/dev/null | tr -d ' '`), 'to-be-there', 'booted, it has what it had when its VMM was killed');
});

test('[Q63] a daemon killed at any step of a restore, or of going on: it is done again, and what is kept is lost nowhere', { timeout: 300_000 }, async () => {
  const spec = specOf({ disks: [await newDisk('data')] });
  let { machine, agent } = await running(spec);
  await machine.snapshot?.(wish('k1'));
  await write(agent, 'second');
  await end(machine, agent);
  for (const point of ['beforePut', 'disksPut']) await daemonKilledAt(`qemu.${point}`, `await engine.copies.restore(${JSON.stringify(spec)}, 'k1');`);
  for (const [point, then] of [['afterLaunch', 'gone'], ['restored', 'gone'], ['beforeDropState', 'running'], ['beforeGoOn', 'running']] as const) {
    await copies.restore(spec, 'k1');
    await daemonKilledAt(`qemu.${point}`, `await engine.start(${JSON.stringify(spec)});`);
    const by = openEngine();
    const found = await by.adopt(spec);
    equal(found.found, then, point);
    machine = keep(found.found === 'running' ? found.machine : await by.start(spec));
    if (then === 'running') equal(await machine.isPaused(), true, `${point}: its guest has done nothing yet`);
    if (await machine.isPaused()) await machine.resume();
    agent = await agentOf(machine);
    deepEqual(await read(agent), ['first', 'first'], point);
    await write(agent, 'other');
    await end(machine, agent);
  }
});

test('[Q69] a fork goes on in the VMM that was started while its original was copied, or, where that one is of no use, in another', { timeout: 300_000 }, async () => {
  const spec = specOf({ disks: [await newDisk('data')], network: { mac: '02:00:0a:d1:00:08', address: '10.209.0.8' } });
  const { machine, agent } = await running(spec);
  const ready = async (child: MachineSpec) => waitUntil(() => readKeeperRecord(machinePlaces(instance, child.id).runFolder), { what: 'its VMM runs', limitMs: 60_000 });
  for (const [at, way] of ['taken', 'killed', 'other snapshot', 'taken'].entries()) {
    const child = specOf({ network: { mac: `02:00:0a:d1:00:1${at}`, address: `10.209.0.1${at}` } });
    await machine.snapshot?.({ ...wish(`of-${at}`, true, true), goesOnAs: child.id });
    const { vmm } = await ready(child);
    if (way === 'killed') await signalProcess(vmm, 'SIGKILL');
    if (way === 'other snapshot') await machine.snapshot?.(wish(`more-${at}`, true, true));
    const disks = await copies.clone(spec.id, `${way === 'other snapshot' ? 'more' : 'of'}-${at}`, child, { memory: true, full: false });
    await copies.remove(spec.id, `of-${at}`);
    const forked = keep(await engine.start({ ...child, disks: [...disks] }));
    equal(forked.process.pid === vmm.pid, way === 'taken', way);
    deepEqual([forked.startedBy, await forked.disks()], [{ way: 'snapshot', why: '' }, await machine.disks()], way);
    const other = await agentOf(forked);
    await other.call('configure', guestIdentity(child, systemClock, systemDice));
    deepEqual(await read(other), ['first', 'first'], way);
    equal(await shell(other, 'hostname; cat /sys/class/net/eth0/address'), [child.name, child.network?.mac].join('\n'));
    await write(other, 'child');
    deepEqual([await read(agent), await read(other)], [['first', 'first'], ['child', 'child']], way);
    other.close();
    if (way === 'taken') { // it is as any: copied and suspended
      await forked.snapshot?.(wish('of-fork'));
      await forked.suspend?.();
      await forked.release();
      const again = keep(await engine.start({ ...child, disks: [...disks] }));
      deepEqual(await read(await agentOf(again)), ['child', 'child']);
    }
  }
  const never = specOf({ network: { mac: '02:00:0a:d1:00:20', address: '10.209.0.20' } });
  await machine.snapshot?.({ ...wish('for-nobody', true, true), goesOnAs: never.id });
  await ready(never);
  await engine.erase(never.id);
  equal(existsSync(machinePlaces(instance, never.id).runFolder), false);
  const refused = specOf({ network: null });
  await rejects(machine.snapshot?.({ ...wish('../bad', true, true), goesOnAs: refused.id }) ?? Promise.resolve(), { code: 'machine.badId' });
  agent.close();
});

test('[Q69] a VMM that was ready when its daemon was killed is ended by the next, and the fork can be asked for again', { timeout: 300_000 }, async () => {
  const spec = specOf({ disks: [await newDisk('data')] });
  const { machine, agent } = await running(spec);
  agent.close();
  await machine.release();
  for (const point of ['readyLaunched', 'beforeSnapshotRecord']) {
    const child = specOf();
    const wished = { ...wish(`at-${point.toLowerCase()}`, true, true), goesOnAs: child.id };
    await daemonKilledAt(`qemu.${point}`, `const found = await engine.adopt(${JSON.stringify(spec)}); await found.machine.snapshot(${JSON.stringify(wished)}); await new Promise((wake) => setTimeout(wake, 30_000));`);
    const by = openEngine();
    await by.sweep();
    const found = await by.adopt(spec);
    ok(found.found === 'running', `it was ${found.found}`);
    const original = keep(found.machine);
    if (await original.isPaused()) await original.resume();
    await original.snapshot?.(wished);
    const disks = await (by.copies as EngineCopies).clone(spec.id, wished.id, child, { memory: true, full: false });
    const forked = keep(await by.start({ ...child, disks: [...disks] }));
    deepEqual(await read(await agentOf(forked)), ['first', 'first'], point);
    await original.release();
  }
});

test('[Q66] a memory that cannot be used is refused before the machine is touched; later it is dropped, and the machine boots and says why', { timeout: 240_000 }, async () => {
  const spec = specOf({ disks: [await newDisk('data')] });
  const { machine, agent } = await running(spec);
  await machine.snapshot?.(wish('k1'));
  await end(machine, agent);
  await rejects(copies.restore({ ...spec, memoryMiB: 512 }, 'k1'), { code: 'machine.snapshotUnusable', message: /other memory or processors/ });
  await rejects(copies.restore(spec, 'k7'), { code: 'machine.snapshotNotFound' });
  await copies.restore(spec, 'k1');
  const folder = join(machinePlaces(instance, spec.id).stateFolder, 'going-on');
  await truncate(join(folder, 'devices'), 100);
  await rejects(copies.restore(spec, 'k1'), { code: 'machine.snapshotUnusable' }, 'it is the same file');
  const booted = keep(await engine.start(spec));
  equal(booted.startedBy?.way, 'cold');
  match(booted.startedBy.why, /^the memory of its snapshot was dropped: the files with its memory are not as they were written/);
  equal(existsSync(folder), false);
});
