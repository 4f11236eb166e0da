/** The launcher's verbs. */
import { z } from 'zod';
import { asStrataError, runProcess, StrataError } from '#base';
import { copyableLibraryOf, heapLibraryOf } from './ensure-launcher.ts';
import { parseKeeperRecord, type KeeperRecord } from './keeper-records.ts';
import { encodeLaunchDescription, type LaunchDescription } from './launch-description.ts';

/**
 * Starts a VMM in its jail and leaves a keeper behind; returns when the VMM's program runs.
 * @param folder the machine's, 0700
 * @throws StrataError `machine.alreadyRuns`, `machine.launchFailed`
 */
export async function startVmm(launcher: string, folder: string, description: LaunchDescription, signal?: AbortSignal): Promise<KeeperRecord> {
  try {
    const { stdout } = await runProcess([launcher, 'run', folder], { input: encodeLaunchDescription(withLibraries(launcher, description)), timeoutMs: 20_000, ...(signal === undefined ? {} : { signal }) });
    return parseKeeperRecord(stdout);
  } catch (cause) {
    const why = wordsOf(cause);
    const held = why.startsWith('already runs');
    throw new StrataError(held ? `the machine in ${folder} already runs` : `the VMM could not be started: ${why}`, {
      code: held ? 'machine.alreadyRuns' : 'machine.launchFailed', kind: held ? 'conflict' : 'unavailable', cause,
      advice: held ? 'adopt it instead of starting it' : 'run `strata doctor`; machines need root, namespaces and QEMU',
    });
  }
}

/** What is loaded into it must be in its jail. */
function withLibraries(launcher: string, description: LaunchDescription): LaunchDescription {
  const loaded = [
    ...(description.keptHeap === true ? [{ source: heapLibraryOf(launcher), target: '/heap.so' }] : []),
    ...(description.copyable === true ? [{ source: copyableLibraryOf(launcher), target: '/copyable.so' }] : []),
  ];
  return loaded.length === 0 ? description : { ...description, readable: [...description.readable, ...loaded] };
}

/** Has a zygote that stands still make itself ready to be copied. @param socket its own @param line the descriptor on which it listens for the agent's line, if it has one @throws StrataError `machine.zygoteFailed` */
export async function settleZygote(launcher: string, socket: string, line?: number): Promise<void> {
  try {
    await runProcess([launcher, 'settle', socket, line === undefined ? '-' : String(line)], { timeoutMs: 20_000 });
  } catch (cause) {
    throw new StrataError(wordsOf(cause), { code: 'machine.zygoteFailed', kind: 'unavailable', cause });
  }
}

/** Whether a keeper lives in this folder, whatever its records say. */
export async function isHeld(launcher: string, folder: string): Promise<boolean> {
  const { code } = await runProcess([launcher, 'held', folder], { timeoutMs: 10_000, okCodes: [0, 1] });
  return code === 0;
}

/** A file for a running QEMU, there `/dev/fdset/<set>`; `isNew`: one that is made now, to be written. */
export interface PassedDisk { readonly set: number; readonly path: string; readonly readOnly: boolean; readonly isNew?: boolean }

/** Opens disks with our rights and hands them to a running QEMU, all by one program. @throws StrataError `machine.diskNotPassed` */
export async function passDisks(launcher: string, monitor: string, disks: readonly PassedDisk[]): Promise<void> {
  if (disks.length === 0) return;
  try {
    await runProcess([launcher, 'pass-disk', monitor, ...disks.flatMap(({ set, path, readOnly, isNew }) => [String(set), isNew === true ? 'new' : readOnly ? 'ro' : 'rw', path])], { timeoutMs: 30_000 });
  } catch (cause) {
    throw new StrataError(`the disk ${disks.map(({ path }) => path).join(' or ')} could not be handed to the machine: ${wordsOf(cause)}`, { code: 'machine.diskNotPassed', kind: 'unavailable', cause });
  }
}

export const passDisk = (launcher: string, monitor: string, set: number, disk: { readonly path: string; readonly readOnly: boolean }): Promise<void> => passDisks(launcher, monitor, [{ set, path: disk.path, readOnly: disk.readOnly }]);

/** Mounts a disk into the jail of a running VMM that opens its disks by name; again is fine. @throws StrataError `machine.diskNotPassed` */
export async function plugDisk(launcher: string, record: KeeperRecord, disk: { readonly path: string; readonly readOnly: boolean }, target: string): Promise<void> {
  try {
    await runProcess([launcher, 'plug', ...identity(record), String(record.uid), disk.readOnly ? 'ro' : 'rw', disk.path, target], { timeoutMs: 30_000 });
  } catch (cause) {
    throw new StrataError(`the disk ${disk.path} could not be handed to the machine: ${wordsOf(cause)}`, { code: 'machine.diskNotPassed', kind: 'unavailable', cause });
  }
}

/** Fine where nothing is mounted. */
export async function unplugDisk(launcher: string, record: KeeperRecord, target: string): Promise<void> {
  await runProcess([launcher, 'unplug', ...identity(record), target], { timeoutMs: 30_000 });
}

/** Commands to a running UML; an answer of each. @throws StrataError `machine.commandRefused` with UML's words */
export async function tellUml(launcher: string, record: KeeperRecord, socket: string, commands: readonly string[]): Promise<readonly string[]> {
  try {
    const { stdout } = await runProcess([launcher, 'mconsole', ...identity(record), String(record.uid), socket, ...commands], { timeoutMs: 10_000 });
    return stdout.split('\n').slice(0, commands.length);
  } catch (cause) {
    throw new StrataError(`the machine did not do '${commands[0]}': ${wordsOf(cause)}`, { code: 'machine.commandRefused', kind: 'unavailable', cause });
  }
}

/** Memory of a running QEMU as that QEMU says where it lies: in hex, and how long. */
export interface GuestMemory { readonly address: string; readonly bytes: number }

export interface MemoryCopy {
  /** What the memory began as, which never changes, is in the file; from here on the guest waits for nothing but its own. */
  readonly begun: Promise<void>;
  /** All of it is. */
  readonly copied: Promise<void>;
  /** Nobody looks at what the guest writes any more, soon after that or where it failed. */
  readonly over: Promise<unknown>;
}

/**
 * Makes a file with a guest's memory: while it runs what it began as and, of a VMM that is `copyable`, most of its own; the rest when it stands still.
 * Both reject with `machine.copyFailed`, also where `standsStill` does.
 */
export function copyMemory(launcher: string, record: KeeperRecord, { address, bytes }: GuestMemory, path: string, standsStill: Promise<unknown>): MemoryCopy {
  const [begun, copied] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let lines = 0;
  const ended = copying([launcher, 'copy-memory', ...identity(record), address, String(bytes), path], standsStill.then(() => 'g'), () => {
    lines += 1;
    (lines === 1 ? begun : copied).resolve();
  });
  for (const one of [begun, copied]) {
    ended.then(() => one.resolve(), one.reject); // what it says may come at once, with its end
    one.promise.catch(() => undefined); // told where it is awaited
  }
  return { begun: begun.promise, copied: copied.promise, over: Promise.allSettled([ended]) };
}

/** Fills memory and state that a VMM was started with empty, once. Descriptors by their numbers in it. @throws StrataError `machine.copyFailed` */
export async function fillVmm(launcher: string, record: KeeperRecord, files: readonly { readonly descriptor: number; readonly path: string }[]): Promise<void> {
  await copying([launcher, 'fill', ...identity(record), ...files.flatMap(({ descriptor, path }) => [String(descriptor), path])]);
}

/** How fast the host's time-stamp counter runs, in kHz, as clocks see it; takes 20 ms. Of x86_64 hosts only. */
export async function measureTsc(launcher: string): Promise<number> {
  const { stdout } = await runProcess([launcher, 'tsc'], { timeoutMs: 10_000 });
  return z.coerce.number().int().min(100_000).max(20_000_000).parse(stdout.trim());
}

async function copying(argv: readonly [string, ...string[]], input: Promise<string> | string = '', heard: () => void = () => undefined): Promise<void> {
  try {
    await runProcess(argv, { timeoutMs: 120_000, input, heard });
  } catch (cause) {
    throw new StrataError(`the machine could not be copied: ${wordsOf(cause)}`, { code: 'machine.copyFailed', kind: 'unavailable', cause, advice: 'see that the host\'s disk has room for its memory' });
  }
}

const identity = (record: KeeperRecord): readonly [string, string] => [String(record.vmm.pid), String(record.vmm.startTicks)];

/** The launcher's own words; the rest of the error repeats argv. */
export function wordsOf(cause: unknown): string {
  const error = asStrataError(cause, 'launcher');
  const stderr = error.details?.['stderr'];
  return typeof stderr === 'string' && stderr !== '' ? stderr.trim() : error.message;
}
