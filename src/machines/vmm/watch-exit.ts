/** Notices the end of a machine, however it ends. */
import { isAlive } from '#base';
import type { VmmExit } from '../engine.ts';
import type { KeeperRecord } from '../launcher/index.ts';
import { awaitExit, watchKeeper } from './end-vmm.ts';
import type { VmmContext } from './vmm-context.ts';
import type { VmmPlaces } from './vmm-places.ts';

const watchAgainMs = 200;

/** The keeper's watch socket closes when it ends; a socket that closes while it lives is opened again. */
export function watchExit(context: Pick<VmmContext, 'clock'>, places: VmmPlaces, record: KeeperRecord): { readonly promise: Promise<VmmExit>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<VmmExit>();
  let stopped = false;
  let stopWatch: () => void = () => undefined;
  const watch = (): void => { stopWatch = watchKeeper(places, () => { void look().catch(again); }); };
  const again = (): void => { if (!stopped) setTimeout(() => { void look().catch(again); }, watchAgainMs).unref(); };
  const look = async (): Promise<void> => {
    if (stopped) return;
    if (await isAlive(record.keeper) && await isAlive(record.vmm)) {
      setTimeout(() => { if (!stopped) watch(); }, watchAgainMs).unref();
      return;
    }
    const exit = await awaitExit(context, places, record);
    stopped = true;
    resolve(exit);
  };
  watch();
  return { promise, stop: () => { stopped = true; stopWatch(); } };
}
