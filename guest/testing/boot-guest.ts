/**
 * A guest for tests: QEMU started by hand, with nothing of the engine's code. What stands here in argv is what
 * the agent expects of any engine (guest/README.md).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { instanceFromEnvironment, waitUntil, type Architecture } from '#base';
import { ensureGuestOs } from '../../src/machines/guest-os/ensure-guest-os.ts';
import { connectLine, type LineClient } from './line-client.ts';
import { connectQmp, type QmpClient } from './qmp-client.ts';

export interface GuestDisk { readonly serial: string; readonly path: string; readonly readOnly?: boolean; readonly bus?: 'scsi' | 'virtio'; /** The guest as its serial, where that is another. */ readonly tells?: string }

export interface GuestOptions {
  readonly architecture?: Architecture;
  readonly memoryMiB?: number;
  readonly processors?: number;
  readonly disks?: readonly GuestDisk[];
  /** With how many disks it begins, as the guest is told; not told where left out. */
  readonly announced?: number;
  /** A tap of the host to plug the card into. */
  readonly tap?: { readonly name: string; readonly mac: string };
}

export interface Guest {
  readonly line: LineClient;
  readonly qmp: QmpClient;
  readonly folder: string;
  /** From the start of QEMU to the agent's answer. */
  readonly bootMs: number;
  addDisk(disk: GuestDisk): Promise<void>;
  removeDisk(serial: string): Promise<void>;
  /** A new connection to the line; the old one should be closed before. */
  connect(options?: { readonly garbage?: Uint8Array }): Promise<LineClient>;
  console(): Promise<string>;
  /** Resolves with QEMU's exit code. */
  readonly exited: Promise<number | null>;
  stop(): Promise<void>;
}

const machines: Record<Architecture, readonly string[]> = {
  x86_64: ['-machine', 'q35,accel=tcg,usb=off', '-cpu', 'max'],
  aarch64: ['-machine', 'virt,accel=tcg', '-cpu', 'cortex-a72'],
};
const consoles: Record<Architecture, string> = { x86_64: 'ttyS0', aarch64: 'ttyAMA0' };
/** Root ports for hot-plugged virtio-blk disks. */
const rootPorts = 4;

export async function bootGuest(options: GuestOptions = {}): Promise<Guest> {
  const architecture = options.architecture ?? 'x86_64';
  const guestOs = await ensureGuestOs(architecture, { instance: instanceFromEnvironment(process.env) });
  const folder = await mkdtemp(join(tmpdir(), 'guest-'));
  const started = performance.now();
  const child = spawn(`qemu-system-${architecture}`, qemuArguments(architecture, guestOs, folder, options), { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString('utf8'); });
  const exited = new Promise<number | null>((resolve) => { child.once('close', resolve); });
  const end = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const place = join(folder, 'agent.sock');
    await waitUntil(() => (existsSync(place) && existsSync(join(folder, 'qmp.sock'))) || ended(child, stderr), { what: 'QEMU listens', limitMs: 20_000, everyMs: 5 });
    const line = await connectLine(place, { limitMs: 60_000 });
    const bootMs = Math.round(performance.now() - started);
    return guestOf({ line, folder, bootMs, exited, end, qmp: await connectQmp(join(folder, 'qmp.sock')) });
  } catch (error) {
    const said = await readFile(join(folder, 'console'), 'utf8').catch(() => '');
    await end();
    throw new Error(`${(error as Error).message}\nQEMU: ${stderr}\nconsole: ${said.slice(-3000)}`, { cause: error });
  }
}

function ended(child: ChildProcess, stderr: string): false {
  if (child.exitCode !== null) throw new Error(`QEMU ended: ${stderr}`);
  return false;
}

function qemuArguments(architecture: Architecture, guestOs: { readonly kernel: string; readonly initramfs: string }, folder: string, options: GuestOptions): string[] {
  return [
    ...machines[architecture], '-m', String(options.memoryMiB ?? 256), '-smp', String(options.processors ?? 1),
    '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
    '-kernel', guestOs.kernel, '-initrd', guestOs.initramfs, '-append', `console=${consoles[architecture]} quiet panic=-1 random.trust_cpu=on cryptomgr.notests${(options.disks ?? []).some((disk) => disk.serial === 'scratch') ? ' strata.scratch=disk' : ''}${options.announced === undefined ? '' : ` strata.disks=${options.announced}`}`,
    '-chardev', `socket,id=agent,path=${folder}/agent.sock,server=on,wait=off`,
    '-device', 'virtio-serial-pci,id=serial', '-device', 'virtserialport,bus=serial.0,chardev=agent,name=strata.agent',
    '-device', 'virtio-scsi-pci,id=scsi', '-device', 'virtio-rng-pci',
    '-chardev', `file,id=console,path=${folder}/console`, '-serial', 'chardev:console',
    '-qmp', `unix:${folder}/qmp.sock,server=on,wait=off`,
    ...Array.from({ length: rootPorts }, (_, at) => ['-device', `pcie-root-port,id=port${at},chassis=${at + 1}`]).flat(),
    ...(options.disks ?? []).flatMap((disk, at) => ['-blockdev', JSON.stringify(blockNode(disk)), '-device', JSON.stringify(diskDevice(disk, at))]),
    ...(options.tap === undefined ? [] : ['-netdev', `tap,id=net,ifname=${options.tap.name},script=no,downscript=no`, '-device', `virtio-net-pci,netdev=net,mac=${options.tap.mac},romfile=`]),
  ];
}

function blockNode(disk: GuestDisk): Record<string, unknown> {
  return { driver: 'raw', 'node-name': `node-${disk.serial}`, 'read-only': disk.readOnly ?? false, file: { driver: 'file', filename: disk.path, locking: 'off', 'read-only': disk.readOnly ?? false } };
}

function diskDevice(disk: GuestDisk, port: number): Record<string, unknown> {
  const common = { id: `disk-${disk.serial}`, drive: `node-${disk.serial}`, serial: disk.tells ?? disk.serial };
  return disk.bus === 'virtio' ? { driver: 'virtio-blk-pci', bus: `port${port % rootPorts}`, ...common } : { driver: 'scsi-hd', bus: 'scsi.0', ...common };
}

interface Parts { readonly line: LineClient; readonly qmp: QmpClient; readonly folder: string; readonly bootMs: number; readonly exited: Promise<number | null>; readonly end: () => Promise<void> }

function guestOf(parts: Parts): Guest {
  const { qmp, folder, end } = parts;
  let line = parts.line;
  let port = 0;
  return {
    get line() { return line; },
    qmp, folder, bootMs: parts.bootMs, exited: parts.exited,
    addDisk: async (disk) => {
      await qmp.execute('blockdev-add', blockNode(disk));
      await qmp.execute('device_add', diskDevice(disk, port));
      if (disk.bus === 'virtio') port += 1;
    },
    removeDisk: async (serial) => {
      await qmp.execute('device_del', { id: `disk-${serial}` });
      await qmp.deviceDeleted(`disk-${serial}`);
      await qmp.execute('blockdev-del', { 'node-name': `node-${serial}` });
    },
    connect: async (options) => {
      await line.close();
      line = await connectLine(join(folder, 'agent.sock'), options);
      return line;
    },
    console: () => readFile(join(folder, 'console'), 'utf8'),
    stop: async () => {
      qmp.close();
      await line.close();
      await end();
    },
  };
}
