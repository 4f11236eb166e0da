/** Ends of VMMs: asked for, noticed, and read from what the keeper left. */
import { connect } from 'node:net';
import { isAlive, signalProcess, waitUntil } from '#base';
import type { VmmExit } from '../engine.ts';
import { readExitRecord, type KeeperRecord } from '../launcher/index.ts';
import type { VmmContext } from './vmm-context.ts';
import type { VmmPlaces } from './vmm-places.ts';

/** SIGKILL to pid 1 of the VMM's pid namespace: the kernel ends all in it. */
export async function endVmm(record: KeeperRecord): Promise<void> {
  await signalProcess(record.vmm, 'SIGKILL');
}

/**
 * Waits (up to the limit) until VMM and keeper are gone, and says how the VMM ended.
 * @throws StrataError `base.timeout`
 */
export async function awaitExit(context: Pick<VmmContext, 'clock'>, places: VmmPlaces, record: KeeperRecord, limitMs = 15_000): Promise<VmmExit> {
  const gone = async () => !(await isAlive(record.vmm)) && !(await isAlive(record.keeper));
  await waitUntil(gone, { what: `the VMM of ${places.runFolder} is gone`, limitMs, everyMs: 5, clock: context.clock });
  return readExit(context, places);
}

export async function readExit(context: Pick<VmmContext, 'clock'>, places: VmmPlaces): Promise<VmmExit> {
  return (await readExitRecord(places.runFolder)) ?? { code: null, signal: 'SIGKILL', stderr: 'its keeper was killed, and with it the VMM', at: context.clock.now() };
}

/** Calls back once when the keeper has let go of its watch socket; returns what ends the watch. */
export function watchKeeper(places: VmmPlaces, onEnd: () => void): () => void {
  const socket = connect({ path: places.watch });
  socket.unref();
  socket.on('error', () => undefined); // close follows
  socket.on('data', () => undefined);
  socket.on('close', onEnd);
  return () => {
    socket.off('close', onEnd);
    socket.destroy();
  };
}
