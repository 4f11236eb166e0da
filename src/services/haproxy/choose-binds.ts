/** Which of the wished ports can be listened on now: those that HAProxy holds already, and those nobody holds. */
import { createServer } from 'node:net';
import { StrataError } from '#base';
import { separateBinds } from '../gateway/check-gateway-state.ts';
import type { GatewayBind, GatewayState } from '../gateway/gateway.ts';

export interface ChosenBinds {
  readonly binds: readonly GatewayBind[];
  /** What to tell the caller once everything else is done. */
  readonly problem: StrataError | undefined;
}

export const bindKey = ({ address, port }: { readonly address: string; readonly port: number }): string => `${address} ${port}`;

/**
 * @param held keys of the binds HAProxy holds now
 * @throws StrataError `gateway.portTaken` where the port of the host names is taken: without it there is no gateway
 */
export async function chooseBinds(state: GatewayState, held: ReadonlySet<string>): Promise<ChosenBinds> {
  const hosts = { address: '127.0.0.1', port: state.hosts.port, backend: '' };
  if (!held.has(bindKey(hosts)) && (await whyNot(hosts.address, hosts.port)) !== undefined) throw taken([hosts]);
  const { binds, clashing } = separateBinds(state);
  const free: GatewayBind[] = [];
  const refused: GatewayBind[] = [...clashing];
  for (const bind of binds) (held.has(bindKey(bind)) || (await whyNot(bind.address, bind.port)) === undefined ? free : refused).push(bind);
  return { binds: free, problem: refused.length === 0 ? undefined : taken(refused) };
}

function taken(binds: readonly GatewayBind[]): StrataError {
  const ports = [...new Set(binds.map(({ port }) => port))];
  const places = binds.map(({ address, port }) => `${address}:${port}`).join(', ');
  return new StrataError(`${ports.length === 1 ? `port ${ports[0]} is` : `ports ${ports.join(', ')} are`} taken by something else (${places})`, {
    code: 'gateway.portTaken', kind: 'conflict', advice: 'publish another port, or end what listens there (`ss -ltnp` shows it)', details: { ports, binds },
  });
}

/** Keys of the binds that such an error is about. */
export const takenBinds = ({ details }: StrataError): readonly string[] => ((details?.['binds'] ?? []) as readonly GatewayBind[]).map(bindKey);

/** The system's reason why nobody can listen there, or undefined. */
function whyNot(address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host: address, port, exclusive: true, ipv6Only: address.includes(':') }, () => { server.close(() => resolve(undefined)); });
  });
}
