/** A host of a known size, whatever this one has, with the pool's own placement: for whoever asks what fits. */
import type { HostId } from '#base';
import { firstTooLarge, hostSchema, placeMachine, placementError, tooLargeError, type Host, type PoolHost, type Promised, type Proof } from '#pool';
import { recordsOf, type Store } from '#store';
import { sampleHost } from '../../../src/pool/testing/sample-host.ts';

export interface SimulatedPoolDeps {
  readonly store: Store;
  readonly memoryMiB: number;
  proofs(): Promise<readonly Proof[]>;
  promised(): Promise<Promised>;
}

export function simulatedPool(deps: SimulatedPoolDeps): PoolHost {
  const id = 'hsimulated' as HostId;
  const hosts = recordsOf(deps.store, 'host', hostSchema);

  async function observe(): Promise<Host> {
    return sampleHost(id, { memory: { totalMiB: deps.memoryMiB, availableMiB: deps.memoryMiB }, proofs: [...await deps.proofs()], promised: await deps.promised() });
  }
  const admitAll: PoolHost['admitAll'] = async (requests) => {
    let host = await observe();
    for (const request of requests) {
      const placement = placeMachine([host], request);
      if (!placement.placed) throw placementError(placement, request);
      const { machines, processors, memoryMiB, diskBytes } = host.promised;
      host = { ...host, promised: { machines: machines + 1, processors: processors + request.processors, memoryMiB: memoryMiB + request.memoryMiB, diskBytes: diskBytes + request.diskBytes } };
    }
    return requests.map(() => id);
  };
  const checkSizes: PoolHost['checkSizes'] = async (requests) => {
    const tooLarge = firstTooLarge([await observe()], requests);
    if (tooLarge !== undefined) throw tooLargeError(tooLarge.placement, tooLarge.request);
  };
  return {
    checkSizes, id, hosts, observe, admitAll, refresh: observe,
    admit: async (request) => (await admitAll([request]))[0] as HostId,
    async drain() { /* one host is not drained here */ },
    async stop() { /* nothing runs by itself */ },
  };
}
