/** This host in the pool: keeps its record fresh, and admits what fits. */
import { readFile } from 'node:fs/promises';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { asStrataError, atomicWrite, isId, newId, StrataError, type Clock, type Dice, type HostId, type Instance, type Log } from '#base';
import { recordsOf, type Records, type Store } from '#store';
import { hostSchema, type Host, type Promised, type Proof } from './host.ts';
import { observeHost, type LookAtHost } from './observe-host.ts';
import { firstTooLarge, placeMachine, placementError, TooLargeError, withRequest, type PlacementRequest } from './place-machine.ts';

export interface OpenHostDeps {
  readonly instance: Instance;
  readonly store: Store;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  /** What guests proved; asked at each refresh, so it should be remembered by whoever ran them. */
  proofs(): Promise<readonly Proof[]>;
  /** Sums over the machines wished running here. */
  promised(): Promise<Promised>;
  /** Default: at this host; worlds in memory have another. */
  readonly look?: LookAtHost;
  /** Default 30 s. */
  readonly refreshMs?: number;
}

export interface PoolHost {
  readonly id: HostId;
  readonly hosts: Records<Host>;
  /** Looks now, without writing. */
  observe(): Promise<Host>;
  /** Looks and writes where it changed noticeably. */
  refresh(): Promise<Host>;
  /** @throws StrataError `pool.hostFull`, naming what was needed and what is free on each host */
  admit(request: PlacementRequest): Promise<HostId>;
  /** As admit, for several that are to run side by side: the host of each, in order. @throws StrataError `pool.hostFull` */
  admitAll(requests: readonly PlacementRequest[]): Promise<readonly HostId[]>;
  /** Whether they would fit hosts that carry nothing else; needs no proof. @throws StrataError `pool.tooLarge` with the numbers */
  checkSizes(requests: readonly PlacementRequest[]): Promise<void>;
  drain(draining: boolean): Promise<void>;
  stop(): Promise<void>;
}

export async function openHost(deps: OpenHostDeps): Promise<PoolHost> {
  const hosts = recordsOf(deps.store, 'host', hostSchema);
  mkdirSync(deps.instance.stateDir, { recursive: true, mode: 0o700 });
  const id = await ownId(deps);
  const look = deps.look ?? observeHost;
  const end = new AbortController();

  async function observe(): Promise<Host> {
    const [before, proofs, promised] = await Promise.all([hosts.get(id), deps.proofs(), deps.promised()]);
    return look({ id, state: before?.value.state === 'draining' ? 'draining' : 'ready', stateDir: deps.instance.stateDir, proofs, promised, clock: deps.clock });
  }

  async function refresh(): Promise<Host> {
    const seen = await observe();
    const kept = await hosts.update(id, (before) => {
      if (before === undefined) return seen;
      const now = { ...seen, state: before.state === 'draining' ? before.state : seen.state };
      return changedNoticeably(before, now) ? now : before;
    });
    return kept ?? seen;
  }

  async function keepFresh(): Promise<void> {
    while (!end.signal.aborted) {
      await deps.clock.wait(deps.refreshMs ?? 30_000, end.signal).catch(() => undefined);
      if (end.signal.aborted) return;
      await refresh().catch((thrown: unknown) => deps.log.warn({ error: asStrataError(thrown, 'host').message }, 'the host could not be observed'));
    }
  }

  async function allHosts(): Promise<readonly Host[]> {
    const others = (await hosts.list()).map((one) => one.value).filter((one) => one.id !== id);
    return [await observe(), ...others];
  }

  async function checkSizes(requests: readonly PlacementRequest[]): Promise<void> {
    const tooLarge = firstTooLarge(await allHosts(), requests);
    if (tooLarge !== undefined) throw new TooLargeError(tooLarge.placement, tooLarge.request);
  }

  async function admitAll(requests: readonly PlacementRequest[]): Promise<readonly HostId[]> {
    await checkSizes(requests);
    let candidates: readonly Host[] = await allHosts();
    const placed: HostId[] = [];
    for (const request of requests) {
      const placement = placeMachine(candidates, request);
      if (!placement.placed) throw placementError(placement, request);
      placed.push(placement.hostId as HostId);
      candidates = candidates.map((host) => (host.id === placement.hostId ? { ...host, promised: withRequest(host.promised, request) } : host));
    }
    return placed;
  }

  await refresh();
  const fresh = keepFresh();
  return {
    id, hosts, observe, refresh, checkSizes,
    admit: async (request) => (await admitAll([request]))[0] as HostId,
    admitAll,
    async drain(draining) {
      await hosts.update(id, (before) => (before === undefined ? undefined : { ...before, state: draining ? 'draining' : 'ready' }));
    },
    async stop() {
      end.abort();
      await fresh;
    },
  };
}

/** The host's id outlives the store's backups and the host's name: a small file beside the store. */
async function ownId(deps: OpenHostDeps): Promise<HostId> {
  const path = join(deps.instance.stateDir, 'host-id');
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => { if (error.code === 'ENOENT') return undefined; throw error; });
  if (text !== undefined) {
    const id = text.trim();
    if (isId('host', id)) return id;
    throw new StrataError(`${path} does not hold the id of a host`, { code: 'pool.badHostId', kind: 'refused', advice: 'put back the id that the host\'s record in the store has, or remove the file to join as a new host' });
  }
  const id = newId('host', deps.dice);
  await atomicWrite(path, `${id}\n`);
  return id;
}

/** Live figures move all the time; a record changes only where somebody would decide otherwise. */
export function changedNoticeably(before: Host, now: Host): boolean {
  const steady = (host: Host) => JSON.stringify({ ...host, observedAt: 0, processors: { ...host.processors, load1: 0 }, memory: { ...host.memory, availableMiB: 0 }, disk: { ...host.disk, freeBytes: 0 } });
  if (steady(before) !== steady(now)) return true;
  const moved = (one: number, other: number, whole: number) => Math.abs(one - other) > whole * 0.05;
  return moved(before.memory.availableMiB, now.memory.availableMiB, now.memory.totalMiB)
    || moved(before.disk.freeBytes, now.disk.freeBytes, now.disk.totalBytes)
    || moved(before.processors.load1, now.processors.load1, now.processors.count * 10);
}
