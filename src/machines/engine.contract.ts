/**
 * The suite every engine passes. Boots of real guests are dear, so one machine serves many checks: the tests
 * run in order and each begins where the one before ended.
 */
import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isAlive, signalProcess, systemClock, waitUntil, type ProcessIdentity } from '#base';
import type { Engine, RunningMachine, VmmExit } from './engine.ts';
import type { MachineDisk, MachineSpec } from './machine.ts';
import { greetAgent, type OpenedAgentConnection } from './testing/greet-agent.ts';
import { runInGuest } from './testing/run-in-guest.ts';

export interface EngineUnderTest {
  readonly engine: Engine;
  /** The engine as a later daemon opens it: the same host, nothing remembered. */
  laterEngine(): Engine | Promise<Engine>;
  /** A small machine that boots our guest OS; a new id each time. */
  spec(changes?: Partial<MachineSpec>): MachineSpec;
  /** A disk of 1 MiB or more that no machine has. */
  disk(): Promise<MachineDisk>;
  /** All the host has of that machine: processes, folders, sockets, cgroups, interfaces. */
  traces(id: string): Promise<readonly string[]>;
  /** From start to the agent's answer, on a busy host. */
  readonly bootLimitMs: number;
  /** Whether exactly this process lives, and its end from outside; default: the kernel's word. */
  isAlive?(process: ProcessIdentity): Promise<boolean>;
  endProcess?(process: ProcessIdentity): Promise<unknown>;
  close(): Promise<void>;
}

/** Declares the tests; `setup` is called once, before the first. */
export function engineContract(name: string, setup: () => Promise<EngineUnderTest>, guests: 'our guest OS' | 'none with devices' = 'our guest OS'): void {
  let it: EngineUnderTest;
  const left = new Set<RunningMachine>();
  const keep = (machine: RunningMachine): RunningMachine => { left.add(machine); return machine; };
  const alive = (process: ProcessIdentity) => (it.isAlive ?? isAlive)(process);
  const endFromOutside = async (process: ProcessIdentity) => { await (it.endProcess ?? ((one: ProcessIdentity) => signalProcess(one, 'SIGKILL')))(process); };
  before(async () => { it = await setup(); });
  after(async () => {
    for (const machine of left) await machine.kill().catch(() => undefined);
    await it.close();
  });

  const agentOf = (machine: RunningMachine): Promise<OpenedAgentConnection> => greetAgent(machine, it.bootLimitMs);

  let spec: MachineSpec;
  let disk: MachineDisk;
  let machine: RunningMachine;
  let agent: OpenedAgentConnection;

  test(`[M40] a started machine lives, its agent answers, its console has words (${name})`, async () => {
    spec = it.spec();
    deepEqual(await it.engine.adopt(spec), { found: 'gone', exit: null }, 'one that never ran is gone, not unknown');
    const unplugged = await it.disk();
    machine = keep(await it.engine.start({ ...spec, disks: [unplugged] }));
    equal(machine.id, spec.id);
    ok(await alive(machine.process));
    agent = await agentOf(machine);
    match(agent.hello.bootId, /^[0-9a-f-]{36}$/);
    equal(agent.hello.architecture, spec.architecture);
    await agent.call('awaitDisks', { serials: [unplugged.serial], timeoutMs: 20_000 }, { timeoutMs: 30_000 });
    ok((await machine.consoleLog()).length > 0);
    spec = { ...spec, disks: [unplugged] };
  });

  test(`[M41] a machine that lives is not started again, and is not disturbed by the attempt (${name})`, async () => {
    await rejects(async () => keep(await it.engine.start(spec)), { kind: 'conflict' });
    ok(await alive(machine.process));
    ok((await agent.call('ping', {})).uptimeMs > 0);
  });

  test(`[M42] programs run in the guest: output, exit code, and refusals with their codes (${name})`, async () => {
    const stream = agent.openStream();
    stream.input.end();
    await agent.call('exec', { container: '', stream: stream.id, argv: ['/bin/echo', 'said', 'in', 'the', 'guest'], env: [], cwd: '', user: '', tty: null, stdin: true });
    stream.errors.resume();
    let said = '';
    for await (const chunk of stream.output) said += String(chunk);
    equal(await stream.done, 0);
    equal(said, 'said in the guest\n');
    const missing = agent.openStream();
    await rejects(agent.call('exec', { container: '', stream: missing.id, argv: ['/missing-program'], env: [], cwd: '', user: '', tty: null, stdin: false }), { code: 'exec.commandNotFound' });
    await rejects(missing.done, { code: 'exec.commandNotFound' });
  });

  test(`[M43] disks come and go by serial, seen by the guest, twice the same as once (${name})`, async () => {
    disk = await it.disk();
    await machine.attachDisk(disk);
    await machine.attachDisk(disk);
    await agent.call('awaitDisks', { serials: [disk.serial], timeoutMs: 20_000 }, { timeoutMs: 30_000 });
    deepEqual((await machine.disks()).filter((serial) => serial === disk.serial), [disk.serial]);
    await rejects(machine.attachDisk({ ...disk, serial: 'no-such-file', path: `${disk.path}.not-there` }));
    equal((await machine.disks()).includes('no-such-file'), false);
    const passing = await it.disk();
    await machine.attachDisk(passing);
    await agent.call('awaitDisks', { serials: [passing.serial], timeoutMs: 20_000 }, { timeoutMs: 30_000 });
    await machine.detachDisk(passing.serial);
    await machine.detachDisk(passing.serial);
    equal((await machine.disks()).includes(passing.serial), false);
    await waitUntil(async () => !(await agent.call('stats', {})).disks.includes(passing.serial), { what: 'the guest sees the disk go', limitMs: 20_000 });
    await machine.detachDisk('never-there');
  });

  if (guests === 'our guest OS') test(`[G78] the guest has a link to each of its disks by serial, from the start or plugged in later, and to none that went (${name})`, async () => {
    const linked = async () => (await runInGuest(agent, 'ls /dev/disk/by-id')).out.split('\n').filter((one) => one !== '' && one !== 'scratch');
    await waitUntil(async () => (await linked()).join() === [...spec.disks.map((one) => one.serial), disk.serial].join(), { what: 'the guest has links to the disks it has, and no others', limitMs: 20_000 });
    const { out } = await runInGuest(agent, `for disk in ${(await linked()).join(' ')}; do test -b /dev/disk/by-id/$disk && readlink /dev/disk/by-id/$disk; done`);
    equal(new Set(out.trim().split('\n')).size, 2, out);
  });

  test(`[M44] the agent's line can be opened again, in the middle of whatever was said before (${name})`, async () => {
    const flood = agent.openStream();
    flood.output.once('data', () => agent.close());
    await agent.call('exec', { container: '', stream: flood.id, argv: ['/bin/busybox', '--help'], env: [], cwd: '', user: '', tty: null, stdin: false }).catch(() => undefined);
    agent.close();
    await agent.closed;
    const again = await agentOf(machine);
    equal(again.hello.bootId, agent.hello.bootId);
    agent = again;
  });

  test(`[M45] let go of and found by a later daemon, it is the same process with the same guest and disks (${name})`, async () => {
    const first = machine;
    let ended: VmmExit | undefined;
    void first.exited.then((exit) => { ended = exit; });
    agent.close();
    await first.release();
    left.delete(first);
    const found = await (await it.laterEngine()).adopt(spec);
    ok(found.found === 'running', `it was ${found.found}`);
    machine = keep(found.machine);
    deepEqual(machine.process, first.process);
    deepEqual([machine.accelerator, machine.isolation], [first.accelerator, first.isolation]);
    const later = await agentOf(machine);
    equal(later.hello.bootId, agent.hello.bootId);
    agent = later;
    deepEqual((await machine.disks()).includes(disk.serial), true);
    await machine.attachDisk(disk);
    await machine.detachDisk(disk.serial);
    equal(ended, undefined, 'being let go of is not an end');
  });

  test(`[M54] copied with its memory it is disturbed by nothing, and another machine goes on from there; an engine that cannot has none of it (${name})`, async () => {
    const { copies } = it.engine;
    equal((await it.engine.capabilities()).snapshot, copies !== undefined);
    equal(machine.snapshot !== undefined, copies !== undefined);
    if (copies === undefined) return;
    const kept = { container: '', path: '/run/kept' };
    const say = (to: OpenedAgentConnection, text: string) => to.call('fileWrite', { ...kept, content: Buffer.from(text).toString('base64'), mode: 0o600, append: false });
    const told = async (by: OpenedAgentConnection) => Buffer.from((await by.call('fileRead', { ...kept, offset: 0, length: 100 })).content, 'base64').toString();
    await say(agent, 'first');
    const wish = { id: 'kept', name: 'kept', memory: true, passing: false };
    await machine.snapshot?.(wish);
    await machine.snapshot?.(wish);
    deepEqual((await copies.list(spec.id)).map((one) => [one.id, one.machineId, one.memory]), [['kept', spec.id, true]]);
    equal(await copies.misfit(spec, 'kept'), undefined);
    equal(await machine.isPaused(), false);
    await say(agent, 'second');
    const child = it.spec();
    const disks = await copies.clone(spec.id, 'kept', child, { memory: true, full: false });
    await copies.clone(spec.id, 'kept', child, { memory: true, full: false });
    const other = keep(await it.engine.start({ ...child, disks: [...disks] }));
    equal(other.startedBy?.way, 'snapshot');
    const theirs = await agentOf(other);
    deepEqual([await told(theirs), await told(agent), theirs.hello.bootId], ['first', 'second', agent.hello.bootId]);
    await copies.remove(spec.id, 'kept');
    await copies.remove(spec.id, 'kept');
    deepEqual(await copies.list(spec.id), []);
    match(await copies.misfit(spec, 'kept') ?? '', /gone/);
    await rejects(copies.restore(spec, 'kept'), { code: 'machine.snapshotNotFound' });
    theirs.close();
    await other.kill();
    await other.release();
    left.delete(other);
    await it.engine.erase(child.id);
    deepEqual(await it.traces(child.id), []);
  });

  test(`[M52] paused it stands still, is found so by a later daemon, and goes on with what it was asked; twice is as once (${name})`, async () => {
    equal(await machine.isPaused(), false);
    await machine.resume();
    await machine.pause();
    await machine.pause();
    equal(await machine.isPaused(), true);
    let answered = false;
    const asked = agent.call('ping', {}, { timeoutMs: 60_000 }).then(({ uptimeMs }) => { answered = true; return uptimeMs; });
    await rejects(agent.call('ping', {}, { timeoutMs: 1000 }), { code: 'agent.timeout' });
    equal(answered, false);
    ok(await alive(machine.process));
    await machine.resume();
    ok(await asked > 0);
    await machine.pause();
    agent.close();
    await machine.release();
    left.delete(machine);
    const found = await (await it.laterEngine()).adopt(spec);
    ok(found.found === 'running', `it was ${found.found}`);
    machine = keep(found.machine);
    equal(await machine.isPaused(), true);
    await machine.resume();
    await machine.resume();
    equal(await machine.isPaused(), false);
    agent = await agentOf(machine);
  });

  test(`[M46] an end nobody watched is proved and told to a later daemon (${name})`, async () => {
    agent.close();
    await machine.release();
    left.delete(machine);
    await endFromOutside(machine.process);
    const found = await waitUntil(async () => {
      const one = await (await it.laterEngine()).adopt(spec);
      return one.found === 'gone' && one;
    }, { what: 'the machine is found gone', limitMs: 10_000 });
    equal(found.exit?.signal, 'SIGKILL');
    equal(await alive(machine.process), false);
  });

  test(`[M47] erase leaves nothing, twice the same as once, and is fine for what never was (${name})`, async () => {
    await it.engine.erase(spec.id);
    await it.engine.erase(spec.id);
    deepEqual(await it.traces(spec.id), []);
    await it.engine.erase(it.spec().id);
  });

  test(`[M48] a death is noticed within a second, with how; then its last words are kept and it can be started again (${name})`, async () => {
    spec = it.spec();
    const first = keep(await it.engine.start(spec));
    await waitUntil(async () => (await first.consoleLog()).length > 0 || undefined, { what: 'the guest has said something', limitMs: 20_000 });
    const killedAt = performance.now();
    await endFromOutside(first.process);
    const exit = await first.exited;
    ok(performance.now() - killedAt < 1000, `noticed after ${Math.round(performance.now() - killedAt)} ms`);
    deepEqual([exit.code, exit.signal], [null, 'SIGKILL']);
    ok(Math.abs(exit.at - Date.now()) < 5000);
    await first.release();
    left.delete(first);
    ok((await it.engine.consoleLog(spec.id)).length > 0, 'its last words are kept');
    machine = keep(await it.engine.start(spec));
    notEqual(machine.process.startTicks === first.process.startTicks && machine.process.pid === first.process.pid, true);
  });

  test(`[M53] a disk that one machine may write is handed to no other, plugged in or at its start, until it is let go of (${name})`, async () => {
    agent = await agentOf(machine);
    const shared = await it.disk();
    await machine.attachDisk(shared);
    const other = it.spec();
    const second = keep(await it.engine.start(other));
    (await agentOf(second)).close();
    await rejects(second.attachDisk(shared), { code: 'machine.diskLocked', kind: 'conflict' });
    await rejects(second.attachDisk({ ...shared, readOnly: true }), { code: 'machine.diskLocked' });
    equal((await second.disks()).includes(shared.serial), false);
    const third = it.spec({ disks: [shared] });
    await rejects(async () => keep(await it.engine.start(third)));
    equal((await it.engine.adopt(third)).found, 'gone');
    await it.engine.erase(third.id);
    await machine.detachDisk(shared.serial);
    await second.attachDisk(shared);
    await second.kill();
    await machine.attachDisk(shared);
    await machine.detachDisk(shared.serial);
    const image = { ...await it.disk(), readOnly: true };
    await machine.attachDisk(image);
    const reader = keep(await it.engine.start(it.spec({ disks: [image] })));
    ok((await reader.disks()).includes(image.serial), 'what nobody may write is shared');
    await machine.detachDisk(image.serial);
    for (const one of [second, reader]) {
      await one.kill();
      await one.release();
      left.delete(one);
      await it.engine.erase(one.id);
    }
  });

  test(`[M49] a guest that powers itself off ends its VMM with code 0 (${name})`, async () => {
    await agent.call('powerOff', { graceMs: 1000 }, { timeoutMs: 20_000 }).catch(() => undefined); // the line may go first
    const limit = new AbortController();
    const late = systemClock.wait(30_000, limit.signal).then(() => undefined, () => undefined);
    const exit = await Promise.race([machine.exited, late]);
    limit.abort();
    deepEqual([exit?.code, exit?.signal], [0, null]);
    await machine.release();
    left.delete(machine);
  });

  test(`[M50] kill returns when the VMM is gone, also twice (${name})`, async () => {
    machine = keep(await it.engine.start(spec));
    await machine.pause();
    const exit = await machine.kill(); // paused: it can be ended as any
    equal(await alive(machine.process), false);
    equal(exit.signal, 'SIGKILL');
    await machine.kill();
    deepEqual(await machine.exited, exit);
    await machine.release();
    left.delete(machine);
    await it.engine.erase(spec.id);
    deepEqual(await it.traces(spec.id), []);
  });

  test(`[M51] a start that fails leaves nothing that runs, and says why (${name})`, async () => {
    const bad = it.spec({ disks: [{ serial: 'no-such-disk', path: '/nonexistent/disk.raw', format: 'raw', readOnly: false }] });
    await rejects(async () => keep(await it.engine.start(bad)), (error: Error) => { match(error.message, /disk/); return true; });
    equal((await it.engine.adopt(bad)).found, 'gone');
    await it.engine.erase(bad.id);
    deepEqual(await it.traces(bad.id), []);
    const aborted = it.spec();
    await rejects(async () => keep(await it.engine.start(aborted, AbortSignal.abort(new Error('changed my mind')))));
    await it.engine.erase(aborted.id);
    deepEqual(await it.traces(aborted.id), []);
  });
}
