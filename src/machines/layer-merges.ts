/**
 * Merges layers of running machines in the background, after they were copied. Upkeep, and no operation: nobody asked for it, nothing
 * waits for it, and it gives way to all that is asked; where it fails the next copy begins it again, or the next daemon.
 */
import { readdir } from 'node:fs/promises';
import { asStrataError, StrataError, type Clock, type Instance, type Log } from '#base';
import { backendId, keptOfDisk } from './backends/backend-places.ts';
import type { HeldDisk } from './backends/disk-snapshots.ts';
import { mergeLayers } from './backends/merge-layers.ts';
import { fewLayers } from './backends/plan-merge.ts';
import type { Backends } from './backends/open-backends.ts';
import type { Engine } from './engine.ts';
import type { EngineName } from './machine.ts';
import type { MachineRecorder } from './machine-recorder.ts';
import type { MachineSessions } from './machine-sessions.ts';
import { machineTurns, type MachineTurns } from './machine-turns.ts';
import { layersFolder } from './qemu/copies/disks-record.ts';
import type { LayerPlaces } from './qemu/copies/layers.ts';

export interface LayerMerges {
  /** In a moment, where there are many by then. */
  begin(machineId: string): void;
  /** Copies it; where it was copied faster than its layers could be merged, they are merged first, unless that would take long. */
  copying(machineId: string, copy: () => Promise<void>): Promise<void>;
  /** Breaks off what goes on. */
  stop(): Promise<void>;
}

export interface LayerMergesDeps {
  readonly instance: Instance;
  readonly engines: ReadonlyMap<EngineName, Engine>;
  readonly recorder: MachineRecorder;
  readonly sessions: MachineSessions;
  readonly turns: MachineTurns;
  readonly backends: Backends | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** A fork that was just made begins in this time, and has the host for itself. */
const beginAfterMs = 1000;
/** About as much as is copied in a second or two, while somebody waits. */
const mostBytesNow = 512 * 1024 ** 2;

/** Before a VMM is asked: a daemon that finds two hundred machines again has none to merge, mostly. All but the lowest lie in one folder. */
async function hasManyLayers(places: LayerPlaces): Promise<boolean> {
  const files = await readdir(layersFolder(places)).catch((cause: NodeJS.ErrnoException) => { if (cause.code === 'ENOENT') return []; throw cause; });
  return files.length > fewLayers;
}

export function layerMerges({ instance, engines, recorder, sessions, turns, backends, clock, log }: LayerMergesDeps): LayerMerges {
  const end = new AbortController();
  const inOrder = machineTurns();
  const asked = new Set<string>();
  const going = new Set<Promise<unknown>>();

  async function held(machineId: string): Promise<readonly HeldDisk[]> {
    const { spec, run } = await recorder.read(machineId);
    if (spec === undefined) return [];
    const machine = sessions.get(machineId)?.machine;
    const places = run === undefined ? undefined : engines.get(run.engine)?.copies?.placesOf?.(machineId);
    const found: HeldDisk[] = [];
    if (machine?.diskOperations !== undefined && places !== undefined && await hasManyLayers(places)) {
      const own = spec.disks.filter((disk) => !disk.readOnly && disk.backend === undefined);
      const plugged = await machine.disks();
      const scratch = { serial: 'scratch', path: '', format: 'raw', readOnly: false } as const;
      for (const disk of [...own, scratch]) if (plugged.includes(disk.serial)) found.push({ spec, disk, places, operations: machine.diskOperations });
    }
    for (const disk of backends === undefined ? [] : spec.disks.filter((one) => one.backend !== undefined && !one.readOnly)) {
      const kept = keptOfDisk(instance, machineId, disk.serial);
      if (!(await hasManyLayers(kept))) continue;
      const operations = await backends?.holding(backendId(machineId, disk.serial), async (open) => open);
      found.push({ spec, disk, places: kept, operations });
    }
    return found;
  }
  async function mergeAll(machineId: string, mostBytes?: number): Promise<boolean> {
    let merged = false;
    for (const disk of await held(machineId)) {
      const began = clock.monotonic();
      const did = await mergeLayers(disk, { signal: end.signal, inTurn: (work) => turns(machineId, work), ...(mostBytes === undefined ? {} : { mostBytes }) });
      if (did) log.info({ machineId, disk: disk.disk.serial, tookMs: Math.round(clock.monotonic() - began) }, 'layers of a disk were merged');
      merged ||= did;
    }
    return merged;
  }
  const quietly = async (machineId: string, mostBytes?: number): Promise<boolean> => {
    const mine = inOrder(machineId, () => (end.signal.aborted ? Promise.resolve(false) : mergeAll(machineId, mostBytes))).catch((thrown: unknown) => {
      if (!end.signal.aborted) log.debug({ machineId, error: asStrataError(thrown, 'merging layers').message }, 'layers of a disk are merged another time');
      return false;
    });
    going.add(mine);
    return mine.finally(() => going.delete(mine));
  };

  return {
    begin(machineId) {
      if (asked.has(machineId) || end.signal.aborted) return;
      asked.add(machineId);
      void clock.wait(beginAfterMs, end.signal).then(() => {
        asked.delete(machineId);
        return quietly(machineId);
      }, () => undefined);
    },
    async copying(machineId, copy) {
      try { await copy(); } catch (thrown) {
        if (!(thrown instanceof StrataError) || thrown.code !== 'machine.tooManyLayers' || !(await quietly(machineId, mostBytesNow))) throw thrown;
        await copy();
      }
    },
    async stop() {
      end.abort();
      await Promise.all(going);
    },
  };
}
