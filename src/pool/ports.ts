/** Ports of the host, each with one owner (a record key): published ports of services and the gateway's own. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { z } from 'zod';
import { StrataError } from '#base';
import { maxTransactionParts, recordsOf, type Compare, type Store, type Write } from '#store';

export type PortProtocol = 'tcp' | 'udp';

export interface Ports {
  /**
   * Takes the port for the owner, or (0) the lowest free one of 30000–32767; the same owner may ask again.
   * @throws StrataError `pool.portTaken` naming the owner where it is ours; `pool.portsExhausted`
   */
  take(owner: string, port: number, protocol: PortProtocol): Promise<number>;
  /**
   * Gives back all ports of the owner; idempotent.
   * @param record what ends with them in the same transaction: where its compare does not hold, they stay
   * @returns whether it was done
   */
  release(owner: string, record?: { readonly compare: readonly Compare[]; readonly writes: readonly Write[] }): Promise<boolean>;
  /** Gives back one port where the owner has it; idempotent. */
  releasePort(owner: string, port: number, protocol: PortProtocol): Promise<void>;
  ownerOf(port: number, protocol: PortProtocol): Promise<string | undefined>;
  list(): Promise<readonly { readonly port: number; readonly protocol: PortProtocol; readonly owner: string }[]>;
}

const portSchema = z.strictObject({ owner: z.string(), port: z.int().min(1).max(65535), protocol: z.enum(['tcp', 'udp']), chosen: z.boolean().describe('by us, for a wish of 0') });
const [firstChosen, lastChosen] = [30_000, 32_767];
/** A transaction has so much room, and the record that goes with them has its part. */
const releasedAtOnce = maxTransactionParts - 16;

export type PortIsFree = (port: number, protocol: PortProtocol) => Promise<boolean>;

/** `isFree` looks at the host; tests may hand in their own. */
export function openPorts(store: Store, isFree: PortIsFree = portIsFree): Ports {
  const ports = recordsOf(store, 'port', portSchema);
  const id = (port: number, protocol: PortProtocol) => `${protocol}-${port}`;

  async function takeExactly(owner: string, port: number, protocol: PortProtocol, chosen: boolean): Promise<number> {
    const held = (await ports.get(id(port, protocol)))?.value;
    if (held?.owner === owner) return port; // it listens there itself by now, perhaps
    if (held !== undefined) throw portTaken(port, protocol, held.owner);
    if (!(await isFree(port, protocol))) throw portTaken(port, protocol, undefined);
    const result = await store.transact({ compare: [{ key: ports.key(id(port, protocol)), absent: true }], writes: [ports.putWrite(id(port, protocol), { owner, port, protocol, chosen })] });
    return result.committed ? port : takeExactly(owner, port, protocol, chosen);
  }

  async function chooseAny(owner: string, protocol: PortProtocol): Promise<number> {
    const held = new Map((await ports.list()).filter((one) => one.value.protocol === protocol).map((one) => [one.value.port, one.value]));
    for (let port = firstChosen; port <= lastChosen; port += 1) {
      if (held.has(port) || !(await isFree(port, protocol))) continue;
      try {
        return await takeExactly(owner, port, protocol, true);
      } catch (thrown) {
        if (!(thrown instanceof StrataError && thrown.code === 'pool.portTaken')) throw thrown;
      }
    }
    throw new StrataError(`no ${protocol} port is free between ${firstChosen} and ${lastChosen}`, { code: 'pool.portsExhausted', kind: 'exhausted', advice: 'publish fewer ports or name them in the compose file' });
  }

  return {
    take(owner, port, protocol) {
      return port === 0 ? chooseAny(owner, protocol) : takeExactly(owner, port, protocol, false);
    },
    async release(owner, record) {
      for (let left = record; ;) {
        const own = (await ports.list()).filter((one) => one.value.owner === owner);
        const part = own.slice(0, releasedAtOnce);
        const result = await store.transact({
          compare: [...part.map(({ key, revision }) => ({ key, revision })), ...left?.compare ?? []],
          writes: [...part.map(({ key }) => ({ delete: key })), ...left?.writes ?? []],
        });
        if (!result.committed && left?.compare.some((one) => result.conflicts.includes(one.key)) === true) return false;
        if (!result.committed) continue; // one of them has gone meanwhile
        if (part.length === own.length) return true;
        left = undefined;
      }
    },
    async releasePort(owner, port, protocol) {
      await ports.update(id(port, protocol), (before) => (before?.owner === owner ? undefined : before));
    },
    ownerOf: async (port, protocol) => (await ports.get(id(port, protocol)))?.value.owner,
    list: async () => (await ports.list()).map(({ value }) => ({ port: value.port, protocol: value.protocol, owner: value.owner })),
  };
}

function portTaken(port: number, protocol: PortProtocol, owner: string | undefined): StrataError {
  const who = owner === undefined ? 'another program on this host' : owner;
  return new StrataError(`${protocol} port ${port} is taken by ${who}`, {
    code: 'pool.portTaken', kind: 'conflict', advice: owner === undefined ? `see who listens with \`ss -lnp sport = :${port}\`, or publish another port` : 'publish another port, or take down what holds it',
    details: { port, protocol, ...(owner === undefined ? {} : { owner }) },
  });
}

/** Whether nobody on this host listens on the port, on any address. */
export function portIsFree(port: number, protocol: PortProtocol): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const settle = (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false);
      else reject(new StrataError(`port ${port} cannot be tried: ${error.message}`, { code: 'pool.portUntried', kind: 'internal', cause: error }));
    };
    if (protocol === 'tcp') {
      const server = createServer();
      server.once('error', settle);
      server.listen({ port, host: '0.0.0.0', exclusive: true }, () => server.close(() => resolve(true)));
      return;
    }
    const socket = createSocket('udp4');
    socket.once('error', (error) => { socket.close(); settle(error); });
    socket.bind({ port, address: '0.0.0.0', exclusive: true }, () => socket.close(() => resolve(true)));
  });
}
