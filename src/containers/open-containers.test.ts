/** The controller on machines in memory whose guests speak the real protocol. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, afterEach, test } from 'node:test';
import { armFailpoints, newId, silentLog, systemClock, systemDice, waitUntil, type Instance } from '#base';
import type { AgentEvent, GuestContainerSpec, GuestContainerState } from '#guest-protocol';
import { openMachines, type AgentConnection, type CallOptions, type Machines, type OpenedMachines } from '#machines';
import { fakeNetwork, fakeWorld, openFakeEngine, type FakeWorld } from '#machines/fake';
import { runControllers, type ControllersRun } from '#reconcile';
import type { Store } from '#store';
import { openSqliteStore } from '#store/sqlite';
import type { ContainerSpec, ContainerStatus } from './container.ts';
import { openGuestSessions } from './guest-sessions.ts';
import { deleteVolume, ensureVolume, ensureVolumeDisk, removeVolumeDisk } from './ensure-volume-disk.ts';
import type { Image, Images } from './images/image.ts';
import { openContainers, type Containers } from './open-containers.ts';
import { imageSerial, volumePath } from './volume.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-containers-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const instance: Instance = { name: 'ktest', stateDir: folder, runDir: folder, cacheDir: folder, subnet: 202 };
const digest = `sha256:${'ab'.repeat(32)}`;
const squashfs = join(folder, 'image.squashfs');
writeFileSync(squashfs, 'squashed');
const image = { digest, architecture: 'x86_64', config: {}, size: 1, createdAt: 0, origin: 'archive', note: '' } as unknown as Image;
const images = { find: async (name: string) => (name === digest ? image : undefined), squashfsPath: () => squashfs } as unknown as Images;

let made = 0;
let unplugMs = 0;
let store: Store;
let world: FakeWorld;
let machines: OpenedMachines;
let containers: Containers;
let run: ControllersRun;
let machineId: string;

async function openDaemon(): Promise<void> {
  machines = openMachines({
    instance, store, network: fakeNetwork(), engines: [openFakeEngine({ world, unplugMs })], clock: systemClock, dice: systemDice, log: silentLog, policy: { firstBackOffMs: 20, longestBackOffMs: 100 },
    host: { bootId: () => world.bootId, endProcess: async (process) => world.endProcess(process) },
  });
  containers = openContainers({ instance, store, machines: machines.machines, images, clock: systemClock, log: silentLog });
  run = runControllers({ controllers: [machines.controller, containers.controller], store, clock: systemClock, dice: systemDice, log: silentLog, fullRoundMs: 1000, backOff: { firstMs: 5, maxMs: 100 } });
}

async function closeDaemon(): Promise<void> {
  await run.stop();
  containers.close();
  await machines.stop();
}

beforeEach(async () => {
  made += 1;
  unplugMs = 0;
  store = await openSqliteStore({ path: join(folder, `store-${made}.db`) });
  world = fakeWorld();
  await openDaemon();
  machineId = await makeMachine('box');
});
afterEach(async () => {
  armFailpoints('');
  await closeDaemon();
  for (const id of world.vmms.keys()) world.end(id);
  await store.close();
});

async function makeMachine(name: string): Promise<string> {
  const id = newId('machine', systemDice);
  await machines.specs.put(id, {
    id, name, architecture: 'x86_64', engine: 'auto', processors: 1, memoryMiB: 256, boot: { kind: 'guest-os' }, scratchMiB: 64, disks: [], network: null, wanted: 'running', owner: null, createdAt: 1, generation: 1,
  });
  return id;
}

async function wish(name: string, argv: readonly string[], changes: Partial<ContainerSpec> = {}): Promise<ContainerSpec> {
  const id = newId('container', systemDice);
  const guest: GuestContainerSpec = {
    id, digest: createHash('sha256').update(`${id} ${argv.join(' ')}`).digest('hex'), hostname: name, imageSerial: imageSerial(digest), argv, env: [], cwd: '/', user: '', extraGroups: [], readOnlyRoot: false,
    mounts: (changes.volumeIds ?? []).map((serial) => ({ kind: 'volume' as const, serial, target: '/data', readOnly: false })), limits: {}, network: null, capabilities: { add: [], drop: [] }, privileged: false, init: false,
    tty: false, stopSignal: 'SIGTERM', stopGraceMs: 100, restart: { policy: 'no' }, health: null, sysctls: {}, ulimits: [], shmBytes: 0, logBytes: 1000,
  };
  const spec: ContainerSpec = {
    id, name, appId: 'a', appName: 'shop', service: name, index: 1, machineId, image: { digest, architecture: 'x86_64', reference: 'web' }, volumeIds: [], address: '10.202.1.1', configDigest: '', guest,
    wanted: 'running', draining: false, drainingSince: null, createdAt: 0, generation: 1, ...changes,
  };
  await containers.specs.put(id, spec);
  return spec;
}

async function statusOf(id: string, fits: (status: ContainerStatus) => boolean, what: string): Promise<ContainerStatus> {
  let last: ContainerStatus | undefined;
  const look = async () => {
    last = (await containers.statuses.get(id))?.value;
    return last !== undefined && fits(last) && last;
  };
  return waitUntil(look, { what: `container ${what}`, limitMs: 10_000, everyMs: 5 }).catch((cause: unknown) => { throw new Error(`it never was ${what}: ${JSON.stringify(last)}`, { cause }); });
}
const running = (status: ContainerStatus) => status.phase === 'running';
const diskSerials = () => [...world.vmms.get(machineId)?.disks.keys() ?? []].sort();
const gone = (id: string) => waitUntil(async () => (await containers.statuses.get(id)) === undefined, { what: 'the container is forgotten', limitMs: 10_000, everyMs: 5 });

test('[K8] a wish becomes a running container with its disks; without it both go', async () => {
  const volume = newId('volume', systemDice);
  await containers.volumes.put(volume, { id: volume, name: 'shop_data', appId: 'a', appName: 'shop', key: 'data', sizeBytes: 64 * 1024 ** 2, createdAt: 0 });
  const one = await wish('one', ['serve'], { volumeIds: [volume] });
  const two = await wish('two', ['serve']);
  await statusOf(one.id, running, 'running');
  await statusOf(two.id, running, 'running');
  deepEqual(diskSerials(), [imageSerial(digest), volume].sort());
  equal(statSync(volumePath(instance, volume)).size, 64 * 1024 ** 2);
  await containers.specs.delete(one.id);
  await gone(one.id);
  deepEqual(diskSerials(), [imageSerial(digest)], 'the other still uses the image');
  await containers.specs.delete(two.id);
  await gone(two.id);
  deepEqual(diskSerials(), []);
  ok(existsSync(volumePath(instance, volume)), 'data outlives containers');
});

test('[K15] an image that is being unplugged for one container is plugged in anew for the next, whenever that comes', async () => {
  await closeDaemon();
  unplugMs = 40;
  await openDaemon();
  const vmm = () => world.vmms.get(machineId);
  const moments = [
    { when: 'the VMM unplugs it', holds: () => vmm()?.guest?.containers.size === 0 },
    { when: 'the guest lets go of it', holds: () => (vmm()?.leaving.size ?? 0) > 0 },
  ];
  for (const moment of moments) {
    const first = await wish('first', ['serve']);
    await statusOf(first.id, running, 'running');
    await containers.specs.delete(first.id);
    await waitUntil(moment.holds, { what: moment.when, limitMs: 10_000, everyMs: 1 });
    const [one, two] = [await wish('one', ['serve']), await wish('two', ['serve'])];
    for (const { id } of [one, two]) {
      await statusOf(id, running, 'running');
      await containers.specs.delete(id);
    }
    await Promise.all([gone(one.id), gone(two.id)]);
    deepEqual(diskSerials(), []);
    deepEqual(vmm()?.guest?.refusedStarts, [], moment.when);
  }
});

test('[K17] containers of a paused machine are unknown with the reason, and what they were once it goes on', async () => {
  const one = await wish('one', ['serve']);
  const before = await statusOf(one.id, running, 'running');
  const machine = async (wanted: 'running' | 'paused') => { await machines.specs.update(machineId, (spec) => (spec === undefined ? spec : { ...spec, wanted, generation: spec.generation + 1 })); };
  await machine('paused');
  const paused = await statusOf(one.id, (status) => status.phase === 'unknown', 'unknown');
  equal(paused.why, 'its machine is paused');
  await rejects(containers.connection(one.id), { code: 'container.notRunning', message: /its machine is paused/, advice: /machine resume/ });
  await machine('running');
  const after = await statusOf(one.id, running, 'running again');
  deepEqual([after.pid, after.startedAt, after.restarts, after.why], [before.pid, before.startedAt, before.restarts, before.why]);
  await machine('paused');
  await statusOf(one.id, (status) => status.phase === 'unknown', 'unknown');
  await containers.specs.delete(one.id);
  await machines.specs.delete(machineId);
  await gone(one.id);
});

test('[K5] stop and start by wish; a missing image is told and mended later', async () => {
  const one = await wish('one', ['serve']);
  await statusOf(one.id, running, 'running');
  await containers.specs.put(one.id, { ...one, wanted: 'stopped' });
  await statusOf(one.id, (status) => status.phase === 'exited', 'stopped');
  await containers.specs.put(one.id, { ...one, wanted: 'running' });
  await statusOf(one.id, running, 'running again');
  const other = await wish('other', ['serve'], { image: { digest: 'sha256:none', architecture: 'x86_64', reference: 'none' } });
  const status = await statusOf(other.id, (seen) => seen.why !== '' && !seen.why.startsWith('its machine'), 'told of its image');
  ok(status.why.includes('is not on this host'), status.why);
});

test('[K9] a guest that speaks of a container of another machine, or of none, changes nothing', async () => {
  const other = await makeMachine('other');
  const one = await wish('one', ['serve']);
  const theirs = await wish('theirs', ['serve'], { machineId: other });
  await statusOf(one.id, running, 'running');
  const before = await statusOf(theirs.id, running, 'running');
  const hostile = world.vmms.get(machineId)?.guest;
  ok(hostile !== undefined);
  // It makes containers under those names by itself, and tells of their end.
  for (const id of [theirs.id, 'cinventedxx']) hostile.say({ event: 'container', state: { ...stateOf(id), phase: 'exited', exitCode: 9 } });
  hostile.say({ event: 'container', state: { ...stateOf(one.id), digest: one.guest.digest, restarts: 77 } });
  await statusOf(one.id, (status) => status.restarts === 77, 'heard');
  deepEqual((await containers.statuses.get(theirs.id))?.value, before);
  equal(await containers.statuses.get('cinventedxx'), undefined);
});

test('[K9] what a guest says of containers it was not given is not even kept, be it an event or an answer', async () => {
  const given = stateOf('c1');
  const invented = Array.from({ length: 100 }, (_one, index) => stateOf(`cinvented${index}`));
  equal(await breathOf([...invented, given], given), given);
  const other = stateOf('cinvented');
  equal(await breathOf([given, other], other, given.id), undefined);
});

test('[K9] of what a guest tells faster than it can be written only the last is', async () => {
  const one = await wish('one', ['serve']);
  await statusOf(one.id, running, 'running');
  const { revision } = await containers.statuses.snapshot();
  for (let restarts = 1; restarts <= 200; restarts += 1) world.vmms.get(machineId)?.guest?.say({ event: 'container', state: { ...stateOf(one.id), digest: one.guest.digest, restarts } });
  await statusOf(one.id, (status) => status.restarts === 200, 'heard');
  ok((await containers.statuses.snapshot()).revision - revision < 100, 'most were never written');
});

const stateOf = (id: string) => ({ id, digest: 'ab'.repeat(32), phase: 'running' as const, pid: 5, startedAtMs: 1, finishedAtMs: 0, exitCode: -1, oomKilled: false, restarts: 0, health: 'none' as const, lastProbe: null, error: '' });

test('[K10] the daemon\'s death touches no container', async () => {
  const one = await wish('one', ['serve']);
  const before = await statusOf(one.id, running, 'running');
  await closeDaemon();
  await openDaemon();
  const after = await statusOf(one.id, running, 'running');
  deepEqual([after.pid, after.startedAt, after.guestBootId], [before.pid, before.startedAt, before.guestBootId]);
});

test('[K13] a start that breaks off after a wished stop is begun again, also by a later daemon', async () => {
  const one = await wish('one', ['serve']);
  await statusOf(one.id, running, 'running');
  await containers.specs.put(one.id, { ...one, wanted: 'stopped' });
  await statusOf(one.id, (status) => status.phase === 'exited', 'stopped');
  armFailpoints('container.start.attached=error');
  await containers.specs.put(one.id, one);
  await statusOf(one.id, (status) => status.why.includes('failpoint'), 'failing');
  await closeDaemon();
  armFailpoints('');
  await openDaemon();
  await statusOf(one.id, running, 'running');
});

test('[K20] while a start is tried again and again, its status says why the last attempt failed', async () => {
  armFailpoints('container.start.attached=3*error');
  const { revision } = await containers.statuses.snapshot();
  const one = await wish('one', ['serve']);
  await statusOf(one.id, running, 'running');
  const told: string[] = [];
  for await (const { value } of containers.statuses.watch(revision, new AbortController().signal)) {
    if (value?.phase === 'running') break;
    if (value?.phase === 'starting') told.push(value.why);
  }
  const first = told.findIndex((why) => why.includes('failpoint'));
  ok(first >= 0 && told.slice(first).every((why) => why.includes('failpoint')), told.join());
  equal((await containers.statuses.get(one.id))?.value.why, '');
});

test('[K13] a restart that breaks off between stop and start is finished by a later daemon', async () => {
  const one = await wish('one', ['serve']);
  const before = await statusOf(one.id, running, 'running');
  armFailpoints('container.restart.stopped=error');
  await rejects(containers.restart(one.id), { code: 'base.failpoint' });
  await closeDaemon();
  armFailpoints('');
  await openDaemon();
  const after = await statusOf(one.id, (status) => running(status) && status.pid !== before.pid, 'running anew');
  equal(after.stopped, false);
});

test('[K13] a job that ends at once after its wished start or its restart has run once each time, and is not started again', async () => {
  const one = await wish('one', ['exit-after', '20', '0']);
  const done = (status: ContainerStatus) => status.phase === 'exited';
  const first = await statusOf(one.id, done, 'done');
  await containers.restart(one.id);
  const second = await statusOf(one.id, (status) => done(status) && status.startedAt !== first.startedAt, 'done again');
  equal(second.stopped, false);
  run.wake('containers', one.id);
  await waitUntil(() => run.quiet, { what: 'the controllers rest', limitMs: 10_000 });
  deepEqual((await containers.statuses.get(one.id))?.value, second);
});

/** A session with an agent that answers a start with `answer`, and says the other states before and behind it, all in one breath. */
async function breathOf(states: readonly GuestContainerState[], answer: GuestContainerState, asked = answer.id): Promise<GuestContainerState | undefined> {
  const listeners = new Set<(event: AgentEvent) => void>();
  const agent = {
    call: async (method: string, _params: unknown, { heard }: CallOptions<unknown>) => {
      if (method === 'containerList') return heard?.({ containers: [] });
      for (const state of states) {
        if (state === answer) heard?.(answer);
        else for (const listener of listeners) listener({ event: 'container', state });
      }
    },
    onEvent: (listener: (event: AgentEvent) => void) => { listeners.add(listener); return () => undefined; },
    closed: new Promise(() => undefined),
  } as unknown as AgentConnection;
  const session = await openGuestSessions({ machines: { agent: async () => agent } as unknown as Machines, log: silentLog, listener: { changed: () => undefined, lost: () => undefined } }).ensure('m', 'b');
  await session.change('containerStart', { spec: { id: asked } as GuestContainerSpec }, { timeoutMs: 1000 });
  ok(session.states().length <= 1, 'what it was not given is not kept');
  return session.state(answer.id);
}

test('[K14] an answer has its place among the events; the end of a run is not undone by an answer to its start', async () => {
  const answer: GuestContainerState = { id: 'c1', digest: 'd', phase: 'running', pid: 1, startedAtMs: 5, finishedAtMs: 0, exitCode: -1, oomKilled: false, restarts: 0, health: 'starting', lastProbe: null, error: '' };
  const [healthy, ended, before]: GuestContainerState[] = [{ ...answer, health: 'healthy' }, { ...answer, phase: 'exited' }, { ...answer, phase: 'exited', startedAtMs: 4 }];
  equal(await breathOf([answer, healthy as GuestContainerState], answer), healthy, 'heard before the caller goes on');
  equal(await breathOf([answer, ended as GuestContainerState], answer), ended);
  equal(await breathOf([ended as GuestContainerState, answer], answer), ended, 'of the same run');
  equal(await breathOf([before as GuestContainerState, answer], answer), answer, 'of another run');
});

test('[K12] a machine\'s death brings its containers back, once', async () => {
  const one = await wish('one', ['serve']);
  const before = await statusOf(one.id, running, 'running');
  world.end(machineId, { signal: 'SIGKILL' });
  const again = await statusOf(one.id, (status) => running(status) && status.guestBootId !== before.guestBootId, 'running in the next boot');
  equal(again.phase, 'running');
  deepEqual(world.doubleStarts, []);
});

test('[K16] what is wished stopped and went with its machine is told as ended, also once the machine is back; wished again, it runs', async () => {
  const one = await wish('one', ['serve']);
  const before = await statusOf(one.id, running, 'running');
  world.hang(machineId, true); // the wish to stop does not reach it
  await containers.specs.put(one.id, { ...one, wanted: 'stopped', generation: 2 });
  world.end(machineId, { signal: 'SIGKILL' });
  const ended = await statusOf(one.id, ({ phase }) => phase === 'exited', 'told as ended');
  deepEqual([ended.stopped, ended.pid, ended.why], [true, 0, 'it ended with its machine']);
  await containers.specs.put(one.id, { ...one, wanted: 'running', generation: 3 });
  await statusOf(one.id, (status) => running(status) && status.guestBootId !== before.guestBootId, 'running in the next boot');
});

test('[K19] who writes to a volume is waited for until it is gone from its guest, in whichever machine', async () => {
  const volume = newId('volume', systemDice);
  await containers.volumes.put(volume, { id: volume, name: 'shop_data', appId: 'a', appName: 'shop', key: 'data', sizeBytes: 64 * 1024 ** 2, createdAt: 0 });
  const before = await wish('before', ['serve'], { volumeIds: [volume] });
  await statusOf(before.id, running, 'running');
  armFailpoints('container.remove.before=1000*error');
  await containers.specs.delete(before.id);
  const elsewhere = await makeMachine('other');
  const [beside, other] = [await wish('beside', ['serve'], { volumeIds: [volume] }), await wish('reader', ['serve'])];
  await statusOf(other.id, running, 'running, since it writes nowhere');
  const waits = await statusOf(beside.id, ({ why }) => why !== '', 'told why');
  deepEqual([waits.phase, waits.why], ['pending', `a volume of it is still written by container ${before.id}, which is being removed`]);
  armFailpoints('');
  await statusOf(beside.id, running, 'running');
  const next = await wish('next', ['serve'], { volumeIds: [volume], machineId: elsewhere });
  const held = await statusOf(next.id, ({ why }) => why.includes('written'), 'told why');
  deepEqual([held.phase, held.why], ['pending', 'a volume of it is still written by beside']);
  await containers.specs.delete(beside.id);
  await statusOf(next.id, running, 'running');
  deepEqual(world.doubleWriters, []);
});

test('[K7] a container of a machine that is gone is forgotten', async () => {
  const one = await wish('one', ['serve']);
  await statusOf(one.id, running, 'running');
  await machines.specs.delete(machineId);
  await containers.specs.delete(one.id);
  await gone(one.id);
});

test('[K11] a disk that is being made while its volume is deleted is not left, whenever that comes', async () => {
  for (let wait = 0; wait <= 10; wait += 2) {
    const id = newId('volume', systemDice);
    const { volumes } = containers;
    await volumes.put(id, { id, name: 'shop_data', appId: 'a', appName: 'shop', key: 'data', sizeBytes: 32 * 1024 ** 2, createdAt: 0 });
    const made = ensureVolume(instance, volumes, id, 32 * 1024 ** 2);
    await systemClock.wait(wait);
    await Promise.allSettled([deleteVolume(instance, volumes, id), made]); // what is being made may say that its file went
    deepEqual([existsSync(volumePath(instance, id)), existsSync(`${volumePath(instance, id)}.new`), await volumes.get(id)], [false, false, undefined]);
  }
});

test('[K11] a volume\'s disk is made once, whole, and removed for good', async () => {
  const id = newId('volume', systemDice);
  const path = volumePath(instance, id);
  await ensureVolumeDisk(instance, id, 32 * 1024 ** 2);
  const first = statSync(path);
  await ensureVolumeDisk(instance, id, 64 * 1024 ** 2);
  equal(statSync(path).ino, first.ino);
  deepEqual([first.size, first.mode & 0o777], [32 * 1024 ** 2, 0o600]);
  await removeVolumeDisk(instance, id);
  await removeVolumeDisk(instance, id);
  ok(!existsSync(path));
  writeFileSync(`${path}.new`, 'half made by a daemon that died');
  await ensureVolumeDisk(instance, id, 32 * 1024 ** 2);
  ok(!existsSync(`${path}.new`) && statSync(path).size === 32 * 1024 ** 2);
});

test('[K4] what cannot be reached says so', async () => {
  await rejects(containers.connection('cnothere'), { code: 'container.notFound' });
  const lonely = await wish('lonely', ['serve'], { machineId: 'mnothere' });
  await rejects(containers.connection(lonely.id), { code: 'container.notRunning' });
  const status = await statusOf(lonely.id, (seen) => seen.why !== '', 'told why');
  deepEqual([status.phase, status.why], ['pending', 'its machine does not exist']);
});
