/**
 * What a gateway state must fulfil before any driver sees it: every word in it ends up in a configuration file and in
 * commands, so each is held to a narrow alphabet here. Pure.
 */
import { StrataError } from '#base';
import type { GatewayBackend, GatewayBind, GatewayState } from './gateway.ts';

const backendName = /^[a-z0-9][a-z0-9_.-]{0,127}$/;
const serverName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const hostName = /^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$/;

/** @throws StrataError `gateway.badState`, with the word that is wrong */
export function checkGatewayState(state: GatewayState): void {
  const names = new Map<string, GatewayBackend>();
  for (const backend of state.backends) {
    must(backendName.test(backend.name), 'name of a backend', backend.name);
    must(!names.has(backend.name), 'second backend', backend.name);
    must(backend.mode === 'http' || backend.mode === 'tcp', 'mode', backend.mode);
    if (backend.parkingPort !== null) must(isPort(backend.parkingPort), 'parking port', backend.parkingPort);
    names.set(backend.name, backend);
    checkServers(backend);
  }
  for (const bind of state.binds) {
    must(isAddress(bind.address), 'address to listen on', bind.address);
    must(isPort(bind.port), 'port to listen on', bind.port);
    must(names.has(bind.backend), 'backend of a bind', bind.backend);
  }
  must(isPort(state.hosts.port), 'port of the host names', state.hosts.port);
  for (const [host, backend] of Object.entries(state.hosts.routes)) {
    must(hostName.test(host), 'host name', host);
    must(names.get(backend)?.mode === 'http', `web backend of ${host}`, backend);
  }
}

function checkServers(backend: GatewayBackend): void {
  const servers = new Set<string>();
  for (const server of backend.servers) {
    must(serverName.test(server.name) && server.name !== parkingServer, 'name of a server', server.name);
    must(!servers.has(server.name), 'second server', server.name);
    must(isIpv4(server.address), 'address of a server', server.address);
    must(isPort(server.port), 'port of a server', server.port);
    must(server.state === 'ready' || server.state === 'drain', 'state of a server', server.state);
    must(Number.isInteger(server.weight) && server.weight >= 0 && server.weight <= 256, 'weight of a server', server.weight);
    servers.add(server.name);
  }
}

/** Name of the server that stands for the edge in each backend. */
export const parkingServer = 'parking';

/** Binds that can stand together, and those that cannot because an earlier one has the port (the host names' port comes first). */
export function separateBinds(state: GatewayState): { readonly binds: readonly GatewayBind[]; readonly clashing: readonly GatewayBind[] } {
  const binds: GatewayBind[] = [];
  const clashing: GatewayBind[] = [];
  for (const bind of state.binds) {
    const onHosts = bind.port === state.hosts.port && (isWildcard(bind.address) || bind.address === '127.0.0.1' || bind.address === '::1');
    const clashes = onHosts || binds.some((one) => one.port === bind.port && meet(one.address, bind.address));
    (clashes ? clashing : binds).push(bind);
  }
  return { binds, clashing };
}

function meet(one: string, other: string): boolean {
  if (one.includes(':') !== other.includes(':')) return false;
  return one === other || isWildcard(one) || isWildcard(other);
}

const isWildcard = (address: string): boolean => address === '0.0.0.0' || address === '::';
const isPort = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= 65_535;
const isIpv4 = (text: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && text.split('.').every((part) => Number(part) <= 255);
const isAddress = (text: string): boolean => isIpv4(text) || (/^[0-9a-f:]{2,39}$/.test(text) && text.includes(':'));

function must(holds: boolean, what: string, value: unknown): void {
  if (!holds) throw new StrataError(`gateway: ${JSON.stringify(value)} cannot be the ${what}`, { code: 'gateway.badState', kind: 'invalid' });
}
