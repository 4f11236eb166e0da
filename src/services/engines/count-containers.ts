/** What containers have counted of their own work, as their guests' agents say. */
import { asStrataError, type Log } from '#base';
import type { Containers } from '#containers';
import type { Counted } from './workload.ts';

/** One that cannot be asked, or whose guest is of an earlier build and does not count, is left out. */
export async function countContainers(containers: Pick<Containers, 'stats'>, ids: readonly string[], log: Log): Promise<readonly Counted[]> {
  const counted = await Promise.all(ids.map(async (id): Promise<Counted | undefined> => {
    try {
      const { userNanos, systemNanos, calls } = await containers.stats(id);
      return userNanos === undefined || systemNanos === undefined || calls === undefined ? undefined : { userNanos, systemNanos, calls };
    } catch (thrown) {
      log.debug({ containerId: id, error: asStrataError(thrown, 'counting').message }, 'a container does not say what it did');
      return undefined;
    }
  }));
  return counted.filter((one) => one !== undefined);
}
