/** A test bench whose machine has a card in a network of the host's own, and containers that say over HTTP who they are. */
import { connect } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gatewayAddress, newId, silentLog, systemDice, type Instance } from '#base';
import { macOfAddress, openHostNetwork } from '#pool';
import { openBench, type Bench } from './open-bench.ts';
import { shell } from './specs.ts';

export interface NetworkBench {
  readonly bench: Bench;
  readonly instance: Instance;
  /** A container that answers `askWho` with `c<last>` at the subnet's address `…1.<last>`; returns its id. */
  start(last: number): Promise<string>;
  close(): Promise<void>;
}

/** Addresses 2 and 3 are of one project, 4 of another; 9 is the machine's. */
export async function openNetworkBench(name: string, subnet: number): Promise<NetworkBench> {
  const folder = await mkdtemp(join(tmpdir(), `${name}-`));
  const instance: Instance = { name, stateDir: folder, runDir: folder, cacheDir: '/var/cache/strata', subnet };
  const network = openHostNetwork({ instance, log: silentLog });
  const machineId = newId('machine', systemDice);
  const addressOf = (last: number): string => `10.${subnet}.1.${last}`;
  let bench: Bench | undefined;
  const close = async (): Promise<void> => {
    await bench?.close();
    await network.erase();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await network.ensure();
    const tap = await network.ensureTap(machineId);
    const endpoint = (last: number, project: string) => ({ address: addressOf(last), machineId, project });
    await network.apply({ endpoints: [endpoint(2, 'a'), endpoint(3, 'a'), endpoint(4, 'b'), endpoint(9, 'a')], virtualAddresses: [] });
    const opened = bench = await openBench({ tap: { name: tap, mac: macOfAddress(addressOf(9)) } });
    return {
      bench, instance, close,
      async start(last) {
        const address = addressOf(last);
        const argv = shell('mkdir /w; hostname > /w/who; httpd -f -p 8080 -h /w');
        return (await opened.start({ argv, hostname: `c${last}`, network: { address, gateway: gatewayAddress(instance), mac: macOfAddress(address) } })).id;
      },
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** What a GET answers; empty where nothing did. */
export function askWho(address: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(8080, address);
    let text = '';
    socket.setTimeout(3000, () => socket.destroy());
    socket.on('connect', () => socket.write('GET /who HTTP/1.0\r\n\r\n'));
    socket.on('data', (chunk: Buffer) => { text += chunk.toString(); });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text.split('\r\n\r\n')[1]?.trim() ?? ''));
  });
}
