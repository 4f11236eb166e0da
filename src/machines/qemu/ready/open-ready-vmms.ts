/**
 * Starts QEMUs for forks while their originals are copied: of half a second until a fork answered, most was their start, which
 * depends on nothing that the moment of the copy decides. Kept in memory alone: of a daemon that ends they are ended by the
 * next (sweepReady), and nobody waits for one that is not taken.
 */
import { asStrataError, StrataError } from '#base';
import { fillVmm } from '../../launcher/index.ts';
import { devicesFile, memoryFile } from '../copies/snapshot-record.ts';
import type { LaunchContext } from '../qemu-context.ts';
import { makeReadyVmm, takeBack, type ReadyVmm } from './make-ready-vmm.ts';
import type { ReadyVmms } from './ready-vmms.ts';

interface Entry {
  readonly made: Promise<ReadyVmm>;
  readonly end: AbortController;
  filled: { readonly snapshotId: string; readonly done: Promise<void> } | undefined;
}

/** Copying takes less than a second; one that is never taken must not stay. */
const keptMs = 120_000;

export function openReadyVmms(context: LaunchContext): ReadyVmms {
  const entries = new Map<string, Entry>();
  const ending = new Map<string, Promise<void>>();

  function end(id: string, { made, end: cut, filled }: Entry): Promise<void> {
    entries.delete(id);
    cut.abort(new StrataError('nobody needs it any more', { code: 'machine.notNeeded', kind: 'conflict' }));
    const ended = made.then(async ({ monitor, sockets }) => {
      monitor.close();
      sockets.close();
      await filled?.done.catch(() => undefined); // told to who took it
      await takeBack(context, id);
    }, () => undefined).catch((thrown: unknown) => context.log.warn({ machineId: id, error: asStrataError(thrown, 'ready VMM').message }, 'a VMM that was ready for a fork could not be ended')).finally(() => ending.delete(id));
    ending.set(id, ended);
    return ended;
  }
  async function fillFrom({ record, guestMemory, state }: ReadyVmm, folder: string): Promise<void> {
    await fillVmm(await context.launcher(), record, [{ descriptor: guestMemory, path: memoryFile(folder) }, { descriptor: state, path: devicesFile(folder) }]);
  }
  async function drop(id: string): Promise<void> {
    const entry = entries.get(id);
    await (entry === undefined ? ending.get(id) : end(id, entry));
  }

  return {
    begin(id, original) {
      if (entries.has(id) || ending.has(id)) return;
      const cut = new AbortController();
      const entry: Entry = { made: makeReadyVmm(context, id, original, cut.signal), end: cut, filled: undefined };
      entry.made.catch(() => undefined); // told to who takes it
      entries.set(id, entry);
      context.clock.wait(keptMs, cut.signal).then(() => (entries.get(id) === entry ? end(id, entry) : undefined), () => undefined);
    },
    fill(id, snapshotId, folder) {
      const entry = entries.get(id);
      if (entry === undefined) return;
      entry.filled = { snapshotId, done: entry.made.then((made) => fillFrom(made, folder)) };
      entry.filled.done.catch(() => undefined); // told to who takes it
    },
    has: (id) => entries.has(id) || ending.has(id),
    async take(id, snapshotId, folder) {
      const entry = entries.get(id);
      if (entry === undefined) {
        await ending.get(id);
        return undefined;
      }
      try {
        if (entry.filled?.snapshotId !== snapshotId) throw new StrataError('it was made ready for another snapshot', { code: 'machine.notNeeded', kind: 'internal' });
        const made = await entry.made;
        await entry.filled.done.catch(() => fillFrom(made, folder)); // the snapshot went before it could be read there
        if (entries.get(id) !== entry) return await drop(id).then(() => undefined); // meanwhile
        entries.delete(id);
        entry.end.abort();
        return made;
      } catch (thrown) {
        context.log.warn({ machineId: id, error: asStrataError(thrown, 'ready VMM').message }, 'a VMM that was to be ready for a fork cannot be used');
        await drop(id);
        return undefined;
      }
    },
    drop,
    async close() { await Promise.all([...entries.keys(), ...ending.keys()].map(drop)); },
  };
}
