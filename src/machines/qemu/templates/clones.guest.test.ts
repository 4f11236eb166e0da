/** Templates and clones with real guests: what they share, what they must not, and every way in which one is of no use. */
import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { architectures, isAlive, signalProcess, waitUntil } from '#base';
import type { RunningMachine } from '../../engine.ts';
import { ensureGuestOs } from '../../guest-os/ensure-guest-os.ts';
import { ensureLauncher, holderOf, holdTemplate, readHolder, sealTemplate, startVmm } from '../../launcher/index.ts';
import { statusField } from '../../launcher/testing/stand-in-vmm.ts';
import type { MachineSpec } from '../../machine.ts';
import type { OpenedAgentConnection } from '../../testing/greet-agent.ts';
import { sharedTraits, traitsOf, type GuestTraits } from '../../testing/guest-traits.ts';
import { qemuBench } from '../../testing/qemu-bench.ts';
import { vmmTraces } from '../../testing/vmm-traces.ts';
import { jailContents } from '../jail-contents.ts';
import { machinePlaces } from '../machine-places.ts';
import { connectQmp } from '../qmp/qmp-connection.ts';
import { templateCommand } from './template-command.ts';
import { templateMachineId, templatePlaces, templatesFolder, type TemplatePlaces } from './template-places.ts';
import { jailDescriptors, templateKey } from './template-shape.ts';
import { readTemplate, writeTemplateRecord, type TemplateRecord } from './template-record.ts';

/** Templates are made at once, so that tests need not wait. */
const { root, instance, network, engine, openEngine, specOf, newDisk, keep, agentOf, daemonKilledAt } = qemuBench({ letter: 'c', subnet: 215, machine: { scratchMiB: 0, memoryMiB: 192 }, templates: { delayMs: 0 } });

const start = async (spec: MachineSpec, by = engine): Promise<RunningMachine> => keep(await by.start(spec));

async function output(agent: OpenedAgentConnection, argv: readonly string[]): Promise<Buffer> {
  const stream = agent.openStream();
  stream.input.end();
  stream.errors.resume();
  await agent.call('exec', { container: '', stream: stream.id, argv, env: [], cwd: '', user: '', tty: null, stdin: true });
  const parts: Buffer[] = [];
  for await (const chunk of stream.output) parts.push(chunk as Buffer);
  equal(await stream.done, 0);
  return Buffer.concat(parts);
}

/** The one template there is, or undefined. */
async function onlyTemplate(): Promise<(TemplatePlaces & { readonly key: string; readonly record: TemplateRecord }) | undefined> {
  const keys = await readdir(templatesFolder(instance)).catch(() => []);
  ok(keys.length <= 1, keys.join());
  const places = templatePlaces(instance, keys[0] ?? '');
  const record = await readTemplate(places);
  return record === undefined ? undefined : { ...places, key: keys[0] ?? '', record };
}
async function template() {
  await engine.ensureTemplate(specOf());
  const one = await onlyTemplate();
  ok(one !== undefined);
  return one;
}

test('[Q30] the first machine boots and says why; its template is made in the background, once; the next is a clone', async () => {
  deepEqual((await start(specOf())).startedBy, { way: 'cold', why: 'there is no template of its shape yet' });
  deepEqual((await start(specOf())).startedBy?.way, 'cold');
  const made = await waitUntil(onlyTemplate, { what: 'the template is made', limitMs: 240_000, everyMs: 100 });
  ok(made.record.usedBytes > 10_000_000 && made.record.usedBytes <= 192 * 1024 * 1024 && made.record.stateBytes > 10_000, JSON.stringify(made.record));
  const spec = specOf();
  const clone = await start(spec);
  deepEqual(clone.startedBy, { way: 'template', why: '' });
  await clone.release();
  const found = await openEngine().adopt(spec);
  ok(found.found === 'running', found.found);
  deepEqual(keep(found.machine).startedBy, { way: 'template', why: '' }, 'a later daemon knows it too');
  const plain = await start(specOf({ boot: { kind: 'disk' }, disks: [await newDisk()] }));
  deepEqual(plain.startedBy, { way: 'cold', why: '' }, 'a disk of its own is booted');
  await waitUntil(async () => !existsSync(machinePlaces(instance, templateMachineId(made.key)).runFolder), { what: 'the machine it was made from is gone', limitMs: 20_000 });
  deepEqual(await vmmTraces(instance, templateMachineId(made.key)), []);
  equal((await onlyTemplate())?.record.madeAt, made.record.madeAt);
});

for (const architecture of architectures) {
  test(`[Q31] clones share no random number, no id, no name, no MAC, and their clock is right (${architecture})`, { timeout: 400_000 }, async () => {
    const shape = { architecture, network: { mac: '02:00:0a:d7:00:05', address: '10.215.0.5' } };
    await engine.ensureTemplate(specOf(shape));
    const seen: GuestTraits[] = [];
    const count = architecture === 'x86_64' ? 8 : 5;
    for (let number = 0; number < count; number += 1) {
      const mac = `02:00:0a:d7:00:${(16 + number).toString(16)}`;
      const spec = specOf({ ...shape, network: { ...shape.network, mac } });
      const machine = await start(spec);
      equal(machine.startedBy?.way, 'template', machine.startedBy?.why ?? '');
      const traits = await traitsOf(machine, true);
      equal(traits['mac'], mac);
      seen.push(traits);
      const agent = await agentOf(machine);
      const asked = Date.now(); // a busy host takes its time to answer
      const said = Number(String(await output(agent, ['/bin/date', '+%s']))) * 1000;
      ok(said > asked - 3000 && said < Date.now() + 3000, `the clock is right: ${said - asked} ms`);
      agent.close();
      await machine.release();
      await machine.kill();
      await engine.erase(spec.id);
    }
    deepEqual(sharedTraits(seen), [], 'each is different in each');
    await engine.dropTemplates(); // the tests below look at one only
  });
}

test('[Q31] what a clone draws at random before its first word is not what its brother draws', async () => {
  // Without the reseed both would go on from the one state of the template's generator: the guest's first boot id tells.
  await template();
  const pair = await Promise.all([start(specOf()), start(specOf())]);
  const [one, other] = await Promise.all(pair.map(agentOf));
  notEqual(one?.hello.bootId, other?.hello.bootId);
});

test('[Q32] a clone has its disks, its scratch disk and its card; disks come and go; it powers off', async () => {
  const disk = await newDisk();
  const spec = specOf({ scratchMiB: 32, disks: [disk], network: { mac: '02:00:0a:d7:00:07', address: '10.215.0.7' } });
  await engine.ensureTemplate(spec);
  const machine = await start(spec);
  equal(machine.startedBy?.way, 'template', machine.startedBy?.why ?? '');
  const agent = await agentOf(machine);
  await agent.call('awaitDisks', { serials: [disk.serial, 'scratch'], timeoutMs: 20_000 }, { timeoutMs: 30_000 });
  const later = await newDisk();
  await machine.attachDisk(later);
  await agent.call('awaitDisks', { serials: [later.serial], timeoutMs: 20_000 }, { timeoutMs: 30_000 });
  await machine.detachDisk(later.serial);
  await machine.detachDisk(disk.serial);
  deepEqual(await machine.disks(), ['scratch']);
  equal((await readFile(`/sys/class/net/${network.nameOf(spec.id)}/carrier`, 'utf8')).trim(), '1', 'the tap has its VMM');
  await agent.call('powerOff', { graceMs: 1000 }, { timeoutMs: 20_000 }).catch(() => undefined); // the line may go first
  deepEqual([(await machine.exited).code, (await machine.exited).signal], [0, null]);
  await engine.dropTemplates();
});

interface Pristine { readonly state: Buffer; readonly record: TemplateRecord; readonly places: TemplatePlaces }
let made: Pristine | undefined;
/** A good template's state and record, made once; what is refused needs no memory. */
async function pristine(): Promise<Pristine> {
  if (made !== undefined) return made;
  const one = await template();
  made = { state: await readFile(await heldPath(one.folder, 'state')), record: one.record, places: one };
  return made;
}

/** A template in the place of the one there is, with this as its state. */
async function plant({ places, record }: Pristine, state: Buffer, seal = true): Promise<void> {
  const launcher = await ensureLauncher(instance);
  await engine.dropTemplates();
  await mkdir(places.folder, { recursive: true, mode: 0o700 });
  await holdTemplate(launcher, places.folder, record.shape.memoryMiB * 1024 * 1024);
  await writeFile(await heldPath(places.folder, 'state'), state);
  if (seal) await sealTemplate(launcher, places.folder);
  await writeTemplateRecord(places, record);
}
async function heldPath(folder: string, what: 'memory' | 'state'): Promise<string> {
  const holder = await readHolder(folder);
  const paths = (await readdir(`/proc/${holder?.pid}/fd`)).map((fd) => `/proc/${holder?.pid}/fd/${fd}`);
  const targets = await Promise.all(paths.map((path) => readlink(path)));
  return paths[targets.findIndex((target) => target.startsWith(`/memfd:${what}`))] ?? '';
}

async function endHolder({ places }: Pristine): Promise<void> {
  const holder = await readHolder(places.folder);
  ok(holder !== undefined);
  await signalProcess(holder, 'SIGKILL');
  await waitUntil(async () => !(await isAlive(holder)), { what: 'the holder is gone', limitMs: 10_000 });
}

const useless: readonly (readonly [what: string, spoil: (one: Pristine) => Promise<unknown>, why: RegExp, dropped: boolean])[] = [
  ['whose state is cut off', (one) => plant(one, one.state.subarray(0, one.state.length / 2)), /its template could not be used: /, true],
  ['whose state is empty', (one) => plant(one, Buffer.alloc(0)), /its template could not be used: /, true],
  ['whose state is noise', (one) => plant(one, Buffer.alloc(one.state.length, 'noise')), /its template could not be used: /, true],
  ['that is not sealed', (one) => plant(one, one.state, false), /the template is not sealed/, true],
  ['whose holder has ended', async (one) => { await plant(one, one.state); await endHolder(one); }, /there is no template/, false],
  ['of another version of QEMU', async (one) => { await plant(one, one.state); await writeTemplateRecord(one.places, { ...one.record, shape: { ...one.record.shape, qemuVersion: '7.1.0' } }); }, /there is no template/, false],
  ['whose record is damaged', async (one) => { await plant(one, one.state); await writeFile(one.places.recordFile, '{"shape":'); }, /there is no template/, false],
];
for (const [what, spoil, why, dropped] of useless) {
  test(`[Q33] a template ${what} is not used: the machine boots and says why`, { timeout: 240_000 }, async () => {
    const one = await pristine();
    await spoil(one);
    const by = openEngine();
    const machine = await start(specOf(), by);
    equal(machine.startedBy?.way, 'cold');
    match(machine.startedBy?.why ?? '', why);
    await by.close();
    if (dropped) equal(existsSync(one.places.folder), false, 'it was dropped');
    await engine.dropTemplates();
  });
}

for (const zygotes of [true, false]) test(`[Q34] a clone's VMM is confined as any, and cannot write its template (${zygotes ? 'a copy of its zygote' : 'of the template itself'})`, async () => {
  const one = await template();
  const by = openEngine({ delayMs: 0, zygotes });
  const spec = specOf();
  const machine = await start(spec, by);
  equal(machine.startedBy?.way, 'template', machine.startedBy?.why ?? '');
  const { pid } = machine.process;
  ok(Number((await statusField(pid, 'Uid')).split('\t')[0]) >= 100_000);
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) equal(Number.parseInt(await statusField(pid, set), 16), 0, set);
  deepEqual([await statusField(pid, 'NoNewPrivs'), await statusField(pid, 'Seccomp'), await statusField(pid, 'Seccomp_filters')], ['1', '2', zygotes ? '3' : '2']);
  const files = ['copyable.so', 'dev', 'etc', 'fd', 'heap.so', ...(existsSync('/sys/kernel/mm/transparent_hugepage/enabled') ? ['sys'] : []), 'usr'];
  deepEqual((await readdir(`/proc/${pid}/root`)).filter((name) => !['lib', 'lib64'].includes(name)).sort(), zygotes ? ['dev'] : files);
  match(await readFile(`/proc/${pid}/maps`, 'utf8'), zygotes ? /-zygote\.so$/m : / \/heap\.so$/m, 'its heap is kept');
  const maps = (await readFile(`/proc/${pid}/smaps`, 'utf8')).split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/).filter((one_) => one_.includes('/memfd:memory'));
  equal(zygotes ? maps.length > 0 : maps.length === 1, true, 'a copy\'s is laid over where the template has nothing');
  for (const map of maps) match(map, /^\S+ rw-p /, 'private: what it writes is its own');
  const before = await readFile(await heldPath(one.folder, 'state'));
  const qmp = await connectQmp(machinePlaces(instance, spec.id).passing);
  try {
    for (const [command, parameters] of [
      ['migrate', { uri: 'fd:4' }], ['object-add', { 'qom-type': 'memory-backend-file', id: 'x', size: 4096, 'mem-path': '/fd/3', share: true }],
      ['pmemsave', { val: 0, size: 4096, filename: '/fd/3' }], ['pmemsave', { val: 0, size: 4096, filename: '/fd/4' }],
    ] as const) await rejects(qmp.execute(command, parameters), { code: 'qmp.refused' }, command);
  } finally {
    qmp.close();
  }
  deepEqual(await readFile(await heldPath(one.folder, 'state')), before);
});

test('[Q34] a template is not sealed while its VMM has the memory; when that has ended it is', async () => {
  const { record } = await template();
  const [launcher, guestOs] = [await ensureLauncher(instance), await ensureGuestOs(record.shape.architecture, { instance })];
  const [held, places] = [join(root, 'held'), machinePlaces(instance, 'mwriter')];
  await mkdir(held, { mode: 0o700 });
  await mkdir(places.runFolder, { recursive: true, mode: 0o700 });
  const holder = await holdTemplate(launcher, held, record.shape.memoryMiB * 1024 * 1024);
  try {
    const vmm = await startVmm(launcher, places.runFolder, {
      uid: 9_000_003, cgroups: [], ...jailContents(record.shape.architecture, guestOs), devices: ['/dev/null', '/dev/zero', '/dev/urandom'], ownDescriptors: jailDescriptors, ...templateCommand(record.shape, 'writer', holderOf(held), { tap: null, scratch: null, tscKhz: undefined }),
    });
    (await connectQmp(places.monitor)).close();
    await rejects(sealTemplate(launcher, held), { code: 'machine.templateFailed', message: /cannot seal the template/ });
    await signalProcess(vmm.vmm, 'SIGKILL');
    await waitUntil(async () => !(await isAlive(vmm.keeper)), { what: 'it is gone', limitMs: 10_000 });
    equal((await sealTemplate(launcher, held)).memoryBytes, record.shape.memoryMiB * 1024 * 1024);
  } finally {
    await signalProcess(holder, 'SIGKILL');
    await rm(held, { recursive: true, force: true });
    await engine.erase('mwriter');
  }
});

test('[Q36] a template outlives its daemon; dropped, its clones go on and its memory is free', async () => {
  const one = await template();
  const clone = await start(specOf());
  const agent = await agentOf(clone);
  const later = openEngine();
  await later.sweep();
  equal((await onlyTemplate())?.record.madeAt, one.record.madeAt);
  equal((await start(specOf(), later)).startedBy?.way, 'template');
  await engine.dropTemplates();
  equal(existsSync(templatesFolder(instance)), false);
  match(String(await output(agent, ['/bin/uname', '-s'])), /^Linux/);
});

test('[Q36] what a daemon left half made is ended and removed by the next', async () => {
  const key = templateKey({ architecture: 'x86_64', accelerator: 'tcg', processors: 1, memoryMiB: 192, scratchMiB: 0, card: false, qemuVersion: 'x', guestOsVersion: 'x' });
  const places = templatePlaces(instance, key);
  await mkdir(places.folder, { recursive: true, mode: 0o700 });
  const holder = await holdTemplate(await ensureLauncher(instance), places.folder, 192 * 1024 * 1024);
  const spec = specOf({ id: templateMachineId(key) });
  const machine = await start(spec);
  await openEngine().sweep();
  deepEqual([await isAlive(holder), await isAlive(machine.process), existsSync(places.folder)], [false, false, false]);
  deepEqual(await vmmTraces(instance, spec.id), []);
});

test('[Q38] a template\'s machine gives way to all others; a daemon that ends while it is made leaves nothing of it', async () => {
  await engine.dropTemplates();
  const by = openEngine();
  await start(specOf(), by);
  const [command] = await waitUntil(async () => {
    const seen = (await processes()).filter((one) => one.command.includes('qemu-system') && /\0mt[0-9a-f]{12}\0/.test(one.command));
    return seen.length > 0 && seen;
  }, { what: 'the template boots', limitMs: 60_000 });
  equal(Number((await readFile(`/proc/${command?.pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ')[38]), 5, 'SCHED_IDLE');
  await by.close();
  equal(await onlyTemplate(), undefined);
  deepEqual((await processes()).filter((one) => /[/\0]mt[0-9a-f]{12}\0/.test(one.command) && one.command.includes(root)), []);
});

test('[Q39] a daemon killed at any step of cloning leaves nothing that is used; the next starts it again', { timeout: 240_000 }, async () => {
  await template();
  for (const point of ['beforeLaunch', 'afterLaunch', 'beforeIdentity', 'beforeReady']) {
    const spec = specOf({ disks: [await newDisk()] });
    await daemonKilledAt(`qemu.${point}`, `await engine.start(${JSON.stringify(spec)});`, {});
    const by = openEngine();
    equal((await by.adopt(spec)).found, 'gone', point);
    equal((await start(spec, by)).startedBy?.way, 'template', point);
  }
});

async function processes(): Promise<readonly { readonly pid: string; readonly command: string }[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return Promise.all(pids.map(async (pid) => ({ pid, command: await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') })));
}
