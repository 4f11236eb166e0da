/**
 * The engine in memory: machines that start in milliseconds and whose guests speak the real protocol. Its
 * state lives in a world that tests keep while "daemons" come and go; `openFakeEngine` on the same world is
 * a later daemon's engine.
 */
import type { Duplex } from 'node:stream';
import { duplexPair } from 'node:stream';
import { access } from 'node:fs/promises';
import { architectures, StrataError } from '#base';
import type { HostNetwork } from '#pool';
import type { Engine, EngineCapabilities, RunningMachine } from '../engine.ts';
import type { MachineDisk } from '../machine.ts';
import { fakeCopies, takeFake } from './fake-copies.ts';
import { fakeWorld, type FakeVmm, type FakeWorld } from './fake-world.ts';

export interface OpenFakeEngineOptions {
  readonly world?: FakeWorld;
  /** The engine it passes itself off as; default: none. */
  readonly as?: 'qemu' | 'uml';
  /** Where it makes the interfaces of its machines, as a real engine does; default: nowhere. */
  readonly network?: Pick<HostNetwork, 'ensureTap'>;
  /** Refuse disks whose file does not exist, as a real engine does; default false. */
  readonly checkDisks?: boolean;
  /** How long an operation on a hung machine takes to fail. Default 200 ms. */
  readonly hungMs?: number;
  /** How long the VMM takes to unplug a disk, and the guest then to notice. Default: none. */
  readonly unplugMs?: number;
}

const abilities: Omit<EngineCapabilities, 'name'> = { architectures, hotplugDisks: true, maxDisks: 64, maxProcessors: 64, ownDisks: true, pause: true, suspend: true, snapshot: true, version: 'fake 1' };

export function openFakeEngine(options: OpenFakeEngineOptions = {}): Engine & { readonly world: FakeWorld } {
  const world = options.world ?? fakeWorld();
  const name = options.as ?? 'fake';
  const checkDisk = async (disk: MachineDisk, machineId: string): Promise<void> => {
    const others = [...world.vmms.values()].filter((one) => one.exit === undefined && one.spec.id !== machineId);
    const held = others.some((one) => [...one.disks.values()].some(({ path, readOnly }) => path === disk.path && !(readOnly && disk.readOnly)));
    if (held) throw new StrataError(`the disk ${disk.serial} is in use by another machine`, { code: 'machine.diskLocked', kind: 'conflict' });
    if (options.checkDisks !== true) return;
    await access(disk.path).catch(() => { throw new StrataError(`there is no file ${disk.path}`, { code: 'engine.diskMissing', kind: 'unavailable', details: { serial: disk.serial } }); });
  };
  return {
    name, connectsAgain: false, world,
    capabilities: () => Promise.resolve({ name, ...abilities }),
    prove: () => Promise.resolve(architectures.map((architecture) => ({ architecture, accelerator: 'none' as const, works: true, evidence: 'it only pretends' }))),
    async start(spec, signal) {
      signal?.throwIfAborted();
      if (spec.network !== null) await options.network?.ensureTap(spec.id); // before whatever may fail, as where a real VMM does not start
      if (spec.name.startsWith('refuse-boot')) throw new StrataError(`fake: ${spec.name} does not boot`, { code: 'engine.startFailed', kind: 'unavailable', advice: 'give it another name' });
      await Promise.all(spec.disks.map((disk) => checkDisk(disk, spec.id)));
      return runningMachine(world, world.boot(spec), checkDisk, options);
    },
    adopt(spec) {
      const vmm = world.vmms.get(spec.id);
      if (vmm === undefined) return Promise.resolve({ found: 'gone', exit: null });
      if (vmm.exit !== undefined) return Promise.resolve({ found: 'gone', exit: vmm.exit });
      if (vmm.hung) return Promise.resolve({ found: 'unknown', why: 'its control socket does not answer' });
      return Promise.resolve({ found: 'running', machine: runningMachine(world, vmm, checkDisk, options) });
    },
    suspended: async (spec) => (world.isSuspended(spec.id) ? { why: '' } : undefined),
    copies: fakeCopies(world),
    consoleLog: async (id) => world.vmms.get(id)?.console ?? Buffer.alloc(0),
    async erase(id) { world.erase(id); },
  };
}

function runningMachine(world: FakeWorld, vmm: FakeVmm, checkDisk: (disk: MachineDisk, machineId: string) => Promise<void>, { hungMs = 200, unplugMs = 0 }: OpenFakeEngineOptions): RunningMachine {
  const open = new Set<Duplex>();
  const alive = async (): Promise<void> => {
    if (vmm.exit !== undefined) throw new StrataError(`the VMM of ${vmm.spec.name} has ended`, { code: 'engine.gone', kind: 'unavailable' });
    if (!vmm.hung) return;
    await new Promise((resolve) => { setTimeout(resolve, hungMs); });
    throw new StrataError(`the VMM of ${vmm.spec.name} does not answer`, { code: 'engine.timeout', kind: 'timeout' });
  };
  const keep = (line: Duplex): Duplex => {
    open.add(line);
    line.on('error', () => undefined);
    line.on('close', () => open.delete(line));
    return line;
  };
  return {
    id: vmm.spec.id, process: vmm.process, accelerator: 'none', isolation: 'emulated', startedBy: vmm.startedBy,
    async openAgentLine() {
      if (vmm.exit !== undefined) await alive();
      return keep(world.connect(vmm));
    },
    async openConsole() {
      await alive();
      const [ours, theirs] = duplexPair();
      theirs.on('data', (chunk: Buffer) => { vmm.console = Buffer.concat([vmm.console, chunk]); theirs.write(chunk); });
      ours.on('close', () => theirs.destroy());
      void vmm.exited.then(() => theirs.end());
      return keep(ours);
    },
    consoleLog: () => Promise.resolve(vmm.console),
    async attachDisk(disk) {
      await alive();
      if (vmm.disks.has(disk.serial)) return;
      await checkDisk(disk, vmm.spec.id);
      vmm.disks.set(disk.serial, disk);
    },
    async detachDisk(serial) {
      await alive();
      if (unplugMs > 0) await new Promise((resolve) => { setTimeout(resolve, unplugMs); });
      if (!vmm.disks.delete(serial) || unplugMs === 0) return;
      vmm.leaving.add(serial);
      setTimeout(() => vmm.leaving.delete(serial), unplugMs).unref();
    },
    async disks() { await alive(); return [...vmm.disks.keys()]; },
    async pause() { await alive(); world.pause(vmm.spec.id, true); },
    async resume() { await alive(); world.pause(vmm.spec.id, false); },
    async suspend() {
      world.suspensions.set(vmm.spec.id, (world.suspensions.get(vmm.spec.id) ?? 0) + 1);
      await alive();
      if (vmm.spec.name.startsWith('full-disk')) throw new StrataError('fake: no space is left', { code: 'engine.suspendFailed', kind: 'unavailable' });
      world.suspend(vmm.spec.id);
    },
    async snapshot(wish) { await alive(); takeFake(world, vmm.spec, wish, vmm.guest === undefined ? undefined : { ...vmm.guest.memory(), plugged: [...vmm.disks.values()] }); },
    async isPaused() { return vmm.paused; },
    async pressPowerButton() { await alive(); if (!vmm.spec.name.startsWith('stubborn')) setTimeout(() => world.end(vmm.spec.id, { code: 0 }), 5); },
    async kill() { if (world.vmms.get(vmm.spec.id) === vmm) world.end(vmm.spec.id, { signal: 'SIGKILL' }); return vmm.exited; },
    exited: vmm.exited,
    async release() { for (const line of open) line.destroy(); open.clear(); },
  };
}
