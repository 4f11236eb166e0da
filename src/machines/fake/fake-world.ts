/**
 * What outlives a daemon in tests: the "processes" of fake machines. A test keeps one world and opens an
 * engine on it for each daemon of its story; ending a daemon touches nothing here.
 */
import { randomUUID } from 'node:crypto';
import { duplexPair, type Duplex } from 'node:stream';
import { StrataError, type ProcessIdentity } from '#base';
import type { GuestContainerSpec } from '#guest-protocol';
import type { StartedBy, VmmExit } from '../engine.ts';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import type { Snapshot } from '../snapshots.ts';
import { fakeGuest, type FakeGuest, type FakeMemory } from './fake-guest.ts';

/** One VMM that runs or ran. */
export interface FakeVmm {
  readonly spec: MachineSpec;
  readonly process: ProcessIdentity;
  guest: FakeGuest | undefined;
  readonly disks: Map<string, MachineDisk>;
  /** Unplugged, but the guest has not noticed yet. */
  readonly leaving: Set<string>;
  console: Buffer;
  hung: boolean;
  paused: boolean;
  exit: VmmExit | undefined;
  startedBy: StartedBy;
  readonly exited: Promise<VmmExit>;
  /** Open lines of daemons. */
  readonly wires: Set<Duplex>;
}

/** Also what of a VMM its snapshot has: disks that were plugged in. */
export interface FakeKept extends FakeMemory { readonly plugged: readonly MachineDisk[] }
export interface FakeSnapshot { readonly shown: Snapshot; readonly memory: FakeKept | undefined }

export interface FakeWorld {
  /** Machines with a folder on the "host": running or not yet erased. */
  readonly vmms: ReadonlyMap<string, FakeVmm>;
  readonly bootId: string;
  /** Times a machine was started, and times it was started while it lived, which must not happen. */
  readonly starts: ReadonlyMap<string, number>;
  readonly doubleStarts: readonly string[];
  /** Containers started while another had the same volume for writing, which must not happen. */
  readonly doubleWriters: readonly string[];
  boot(spec: MachineSpec): FakeVmm;
  connect(vmm: FakeVmm): Duplex;
  /** Ends a VMM as a signal (or its own exit code) would. */
  end(id: string, how?: { readonly code?: number; readonly signal?: string; readonly stderr?: string }): void;
  endProcess(process: ProcessIdentity): boolean;
  /** A stopped or stuck VMM: alive, answering nothing. */
  hang(id: string, hung: boolean): void;
  /** The guest's processors stand still; the VMM answers. */
  pause(id: string, paused: boolean): void;
  /** Ends a VMM and keeps its guest, which goes on at the next boot, also of the host. */
  suspend(id: string): void;
  isSuspended(id: string): boolean;
  /** Times a machine's VMM was asked to suspend it. */
  readonly suspensions: Map<string, number>;
  /** By machine and id; they go with their machine. */
  readonly snapshots: Map<string, Map<string, FakeSnapshot>>;
  /** What a machine's next boot goes on from. */
  readonly goingOn: Map<string, FakeKept>;
  /** All that runs is gone, and the host's boot id is another. */
  reboot(): void;
  erase(id: string): void;
}

/** Beyond any pid the kernel gives, so that nothing real is ever signalled. */
let lastPid = 4_300_000;

export interface FakeWorldOptions {
  readonly bootId?: string;
  /** From start to the guest's answer. */
  readonly bootMs?: number;
  /** Wall time as daemons see it; the system's unless a test's clock runs at another pace. */
  readonly now?: () => number;
}

export function fakeWorld(options: FakeWorldOptions = {}): FakeWorld {
  const vmms = new Map<string, FakeVmm>();
  const starts = new Map<string, number>();
  const doubleStarts: string[] = [];
  const doubleWriters: string[] = [];
  const now = options.now ?? Date.now;
  const suspended = new Map<string, FakeGuest>();
  const snapshots = new Map<string, Map<string, FakeSnapshot>>();
  const goingOn = new Map<string, FakeKept>();
  const settle = new WeakMap<FakeVmm, (exit: VmmExit) => void>();
  let bootId = options.bootId ?? randomUUID();

  function finish(vmm: FakeVmm, how: { readonly code?: number; readonly signal?: string; readonly stderr?: string }, toldAfterMs = 0): void {
    if (vmm.exit !== undefined) return;
    vmm.exit = { code: how.signal === undefined ? how.code ?? 0 : null, signal: how.signal ?? null, stderr: how.stderr ?? '', at: now() };
    vmm.guest?.end();
    for (const wire of vmm.wires) wire.destroy();
    const { exit } = vmm;
    const tell = () => settle.get(vmm)?.(exit);
    if (toldAfterMs === 0) tell();
    else setTimeout(tell, toldAfterMs);
  }
  function end(id: string, how: { readonly code?: number; readonly signal?: string; readonly stderr?: string } = { signal: 'SIGKILL' }): void {
    const vmm = vmms.get(id);
    if (vmm !== undefined) finish(vmm, how);
  }

  /** Whether in any guest another container writes, or will write again after a pause, to a volume of this one. */
  function noteWriters(spec: GuestContainerSpec): void {
    const own = writtenVolumes(spec);
    const others = [...vmms.values()].filter((vmm) => vmm.exit === undefined).flatMap((vmm) => [...vmm.guest?.containers.values() ?? []]);
    for (const other of others.filter((one) => one.spec.id !== spec.id && ['running', 'stopping', 'waiting'].includes(one.state().phase))) {
      const shared = writtenVolumes(other.spec).filter((serial) => own.includes(serial));
      if (shared.length > 0) doubleWriters.push(`${spec.id} was started while ${other.spec.id} had ${shared.join(', ')}`);
    }
  }

  /** The guest comes up after a while, unless the machine's name says otherwise. */
  function bootGuest(vmm: FakeVmm): void {
    const { spec } = vmm;
    const kept = suspended.get(spec.id);
    suspended.delete(spec.id);
    if (kept !== undefined) { vmm.guest = kept; return; }
    const current = () => vmms.get(spec.id) ?? vmm; // another, once it was suspended
    const print = (text: string) => { vmm.console = Buffer.concat([vmm.console, Buffer.from(text)]).subarray(-1024 * 1024); };
    const memory = goingOn.get(spec.id);
    goingOn.delete(spec.id);
    const comeUp = () => {
      vmm.guest = fakeGuest({ architecture: spec.architecture, disks: () => [...new Set([...current().disks.keys(), ...current().leaving])], leaving: () => current().leaving, starting: noteWriters, powerOff: () => { if (!spec.name.startsWith('stubborn')) finish(current(), { code: 0 }); } }, memory);
      for (const wire of vmm.wires) if (!wire.destroyed) vmm.guest.connect(wire);
    };
    if (memory !== undefined) return comeUp();
    print(`[    0.000000] Linux version 6.12.0-fake (${spec.architecture})\n`);
    setTimeout(() => {
      if (vmm.exit !== undefined) return;
      if (spec.name.startsWith('panics')) return finish(vmm, { code: 1, stderr: 'fake: the guest panicked' });
      if (spec.boot.kind !== 'guest-os' || spec.name.startsWith('mute')) return;
      print('[    0.100000] strata agent: ready\n');
      comeUp();
    }, options.bootMs ?? 5).unref();
  }

  return {
    vmms, starts, suspensions: new Map(), snapshots, goingOn, doubleStarts, doubleWriters, end,
    get bootId() { return bootId; },
    boot(spec) {
      const before = vmms.get(spec.id);
      if (before !== undefined && before.exit === undefined) {
        doubleStarts.push(spec.id);
        throw new StrataError(`machine ${spec.name} runs already`, { code: 'machine.alreadyRuns', kind: 'conflict' });
      }
      starts.set(spec.id, (starts.get(spec.id) ?? 0) + 1);
      lastPid += 1;
      const { promise, resolve } = Promise.withResolvers<VmmExit>();
      const vmm: FakeVmm = {
        spec, process: { bootId, pid: lastPid, startTicks: lastPid }, guest: undefined, disks: new Map([...(goingOn.get(spec.id)?.plugged ?? []).filter((disk) => disk.readOnly), ...spec.disks].map((disk) => [disk.serial, disk])), leaving: new Set(),
        console: Buffer.alloc(0), hung: spec.name.startsWith('hangs'), paused: false, exit: undefined, exited: promise, startedBy: { way: goingOn.has(spec.id) ? 'snapshot' : suspended.has(spec.id) ? 'suspended' : 'cold', why: '' }, wires: new Set(),
      };
      settle.set(vmm, resolve);
      vmms.set(spec.id, vmm);
      bootGuest(vmm);
      return vmm;
    },
    connect(vmm) {
      for (const wire of vmm.wires) wire.destroy(); // one at a time, as a character device has it
      vmm.wires.clear();
      const [ours, theirs] = duplexPair();
      theirs.on('error', () => undefined);
      theirs.on('close', () => ours.destroy());
      ours.on('close', () => theirs.destroy());
      vmm.wires.add(theirs);
      if (vmm.hung) theirs.pause();
      else vmm.guest?.connect(theirs);
      if (vmm.paused) theirs.pause();
      return ours;
    },
    endProcess(process) {
      const vmm = [...vmms.values()].find((one) => one.process.pid === process.pid && one.process.startTicks === process.startTicks && one.process.bootId === process.bootId);
      if (vmm === undefined || vmm.exit !== undefined) return false;
      finish(vmm, { signal: 'SIGKILL' });
      return true;
    },
    hang(id, hung) {
      const vmm = vmms.get(id);
      if (vmm === undefined) return;
      vmm.hung = hung;
      quieten(vmm);
    },
    pause(id, paused) {
      const vmm = vmms.get(id);
      if (vmm === undefined) return;
      vmm.paused = paused;
      quieten(vmm);
    },
    suspend(id) {
      const vmm = vmms.get(id);
      if (vmm?.guest === undefined) return;
      suspended.set(id, vmm.guest);
      vmm.guest = undefined; // its end is not the guest's
      finish(vmm, { code: 0 }, 50); // a real one is gone before its end is noticed, too
    },
    isSuspended: (id) => suspended.has(id),
    reboot() {
      for (const vmm of vmms.values()) finish(vmm, { signal: 'SIGKILL' });
      vmms.clear(); // the run folder is a tmpfs
      bootId = randomUUID();
    },
    erase(id) {
      const vmm = vmms.get(id);
      if (vmm !== undefined && vmm.exit === undefined) throw new StrataError(`machine ${vmm.spec.name} runs`, { code: 'engine.stillRuns', kind: 'refused' });
      vmms.delete(id);
      suspended.delete(id);
      snapshots.delete(id);
      goingOn.delete(id);
    },
  };
}

function quieten(vmm: FakeVmm): void {
  for (const wire of vmm.wires) { if (vmm.hung || vmm.paused) wire.pause(); else wire.resume(); }
}

function writtenVolumes(spec: GuestContainerSpec): string[] {
  return spec.mounts.flatMap((mount) => (mount.kind === 'volume' && !mount.readOnly ? [mount.serial] : []));
}
