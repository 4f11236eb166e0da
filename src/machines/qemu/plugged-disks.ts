/**
 * Disks of a running machine, plugged and unplugged by serial. One change at a time. What QEMU has is asked of QEMU,
 * never remembered, so a daemon that died between two steps leaves nothing that the next call does not finish.
 */
import { z } from 'zod';
import { StrataError, waitUntil } from '#base';
import { passDisk } from '../launcher/index.ts';
import { onlyFromTheStart } from '../backends/only-from-the-start.ts';
import type { MachineDisk } from '../machine.ts';
import { deviceArguments, driveNode, fileNodeName, isBelow, serialId, serialOf, topNode } from './drives.ts';
import type { Monitor } from './qmp/open-monitor.ts';
import { chainOf } from './suspended/list-disks.ts';

export interface PluggedDisks {
  attach(disk: MachineDisk): Promise<void>;
  detach(serial: string): Promise<void>;
  list(): Promise<readonly string[]>;
  /** A file beside the disks, by a name of its own; taken back where no node has it. */
  handIn(name: string, path: string, readOnly?: boolean): Promise<string>;
  takeBack(name: string): Promise<void>;
  /** Several at once, into the sets from this number on: two that chose the same would have each other's files. */
  handInto(pass: (firstSet: number) => Promise<void>): Promise<number>;
}

interface Parts { readonly launcher: () => Promise<string>; readonly passing: string; readonly monitor: Monitor }

const peripheralsSchema = z.array(z.looseObject({ name: z.string().max(200) })).max(2000);
const nodesSchema = z.array(z.looseObject({ 'node-name': z.string().max(200).optional() })).max(4000);
const fdsetsSchema = z.array(z.looseObject({ 'fdset-id': z.int() })).max(2000);
/** Sets of disks plugged in at the start are numbered by their descriptors, which lie below. */
export const firstSet = 1000;
const unplugLimitMs = 10_000;
const releaseLimitMs = 10_000;

export function openPluggedDisks(parts: Parts): PluggedDisks {
  const { monitor } = parts;
  let tail: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = tail.then(work, work);
    tail = mine.catch(() => undefined);
    return mine;
  };
  const list = async (): Promise<readonly string[]> => {
    const devices = peripheralsSchema.parse(await monitor.execute('qom-list', { path: '/machine/peripheral' }));
    return devices.map(({ name }) => serialOf(name)).filter((serial) => serial !== undefined);
  };
  const handedIn = new Map<string, number>();
  return {
    list,
    handIn: (name, path, readOnly = false) => inTurn(async () => {
      const set = await freeSet(monitor);
      await passDisk(await parts.launcher(), parts.passing, set, { path, readOnly });
      handedIn.set(name, set);
      return `/dev/fdset/${set}`;
    }),
    handInto: (pass) => inTurn(async () => {
      const first = await freeSet(monitor);
      await pass(first);
      return first;
    }),
    // With its node goes the set; what an earlier daemon handed in and no node has costs a descriptor and nothing else.
    takeBack: async (name) => {
      const set = handedIn.get(name);
      handedIn.delete(name);
      if (set !== undefined) await monitor.execute('remove-fd', { 'fdset-id': set }).catch(() => undefined);
    },
    attach: (disk) => inTurn(async () => {
      if ((await list()).includes(disk.serial)) return;
      if (disk.backend !== undefined) throw onlyFromTheStart(disk.serial);
      await removeNode(monitor, disk.serial); // of an attempt that was cut off
      await plug(parts, disk);
    }),
    detach: (serial) => inTurn(async () => {
      if ((await list()).includes(serial)) {
        const names = (await nodesOf(monitor)).map((node) => node['node-name'] ?? '');
        if (chainOf(serial, names, topNode(serial, names)).length === 0) throw onlyFromTheStart(serial); // a back end serves it
        await unplug(monitor, serial, list);
      }
      await removeNode(monitor, serial);
    }),
  };
}

async function plug({ monitor, launcher, passing }: Parts, disk: MachineDisk): Promise<void> {
  const sets: number[] = [];
  try {
    for (const file of [disk, ...(disk.backing ?? []).map(({ path }) => ({ path, readOnly: true }))]) {
      const set = await freeSet(monitor);
      await passDisk(await launcher(), passing, set, file);
      sets.push(set);
    }
    const [top = 0, ...below] = sets;
    await monitor.execute('blockdev-add', driveNode(disk, top, below));
    await monitor.execute('device_add', deviceArguments(disk));
  } catch (error) {
    await removeNode(monitor, disk.serial).catch(() => undefined); // the first error tells the story
    for (const set of sets) await monitor.execute('remove-fd', { 'fdset-id': set }).catch(() => undefined);
    throw asDiskError(disk, error);
  }
}

async function freeSet(monitor: Monitor): Promise<number> {
  const sets = fdsetsSchema.parse(await monitor.execute('query-fdsets')).map((one) => one['fdset-id']);
  return Math.max(firstSet - 1, ...sets) + 1;
}

/** The event says that the guest has let go; a daemon that came later looks whether the device is gone. */
async function unplug(monitor: Monitor, serial: string, list: () => Promise<readonly string[]>): Promise<void> {
  const connection = await monitor.connection();
  const stop = AbortSignal.timeout(unplugLimitMs);
  const events = connection.events(stop)[Symbol.asyncIterator]();
  const nextEvent = events.next();
  try {
    await connection.execute('device_del', { id: serialId(serial) });
    for (let event = nextEvent; (await list()).includes(serial); event = events.next()) {
      if ((await event).done === true) {
        throw new StrataError(`the guest did not let go of the disk ${serial} within ${unplugLimitMs} ms`, { code: 'machine.diskBusy', kind: 'timeout', advice: 'stop what uses it in the guest, then try again' });
      }
    }
  } finally {
    await events.return?.(undefined);
  }
}

async function nodesOf(monitor: Monitor): Promise<z.infer<typeof nodesSchema>> {
  return nodesSchema.parse(await monitor.execute('query-named-block-nodes', { flat: true }));
}

/** The block node and the descriptor it was opened from. */
export async function removeNode(monitor: Monitor, serial: string): Promise<void> {
  const nodes = await nodesOf(monitor);
  const names = nodes.map((node) => node['node-name'] ?? '');
  const top = chainOf(serial, names, topNode(serial, names));
  for (const name of top) {
    const file = z.looseObject({ file: z.string().max(4096) }).safeParse(nodes.find((node) => node['node-name'] === fileNodeName(name)));
    // What lay below it from the start goes with it.
    if (!isBelow(name)) await deleteNode(monitor, name);
    const set = file.success ? /^\/dev\/fdset\/(\d+)$/.exec(file.data.file)?.[1] : undefined;
    if (set !== undefined) await monitor.execute('remove-fd', { 'fdset-id': Number(set) }).catch(() => undefined); // QEMU removes a set with its last use
  }
}

/** A device that is gone for all who ask still holds its node until the last of its requests has ended, and no event tells of that. */
async function deleteNode(monitor: Monitor, node: string): Promise<void> {
  await waitUntil(async () => {
    try {
      await monitor.execute('blockdev-del', { 'node-name': node });
      return true;
    } catch (error) {
      if (error instanceof StrataError && error.code === 'qmp.refused' && /\bin use\b/.test(error.message)) return false;
      throw error;
    }
  }, { what: `QEMU lets go of ${node}`, limitMs: releaseLimitMs });
}

function asDiskError(disk: MachineDisk, error: unknown): unknown {
  if (error instanceof StrataError && error.code === 'qmp.refused' && /\block\b/i.test(error.message)) {
    return new StrataError(`the disk ${disk.serial} is in use by another machine`, { code: 'machine.diskLocked', kind: 'conflict', cause: error, advice: 'detach it there first' });
  }
  return error;
}
