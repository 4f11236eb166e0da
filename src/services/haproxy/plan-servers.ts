/**
 * From the servers HAProxy has and the servers it should have to the runtime commands between. Pure. A server that is
 * no longer wished is put into maintenance (what runs on it goes on) and removed once it carries nothing.
 */
import { parkingServer } from '../gateway/check-gateway-state.ts';
import type { GatewayBackend } from '../gateway/gateway.ts';

export interface LoadedServer {
  readonly backend: string;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly state: 'ready' | 'drain' | 'maint';
  readonly weight: number;
}

export interface ServersPlan {
  readonly commands: readonly string[];
  /** Removals; they fail while the server still carries a connection, and are tried again. */
  readonly removals: readonly string[];
}

export function planServers(backends: readonly GatewayBackend[], loaded: readonly LoadedServer[]): ServersPlan {
  const wished = new Map<string, GatewayBackend['servers'][number]>(backends.flatMap((backend) => backend.servers.map((server) => [`${backend.name}/${server.name}`, server] as const)));
  const known = new Map<string, LoadedServer>(loaded.filter(({ name }) => name !== parkingServer).map((server) => [`${server.backend}/${server.name}`, server]));
  const commands: string[] = [];
  for (const [path, server] of wished) {
    const now = known.get(path);
    const weight = server.state === 'drain' ? 0 : server.weight;
    if (now === undefined) commands.push(`add server ${path} ${server.address}:${server.port} weight ${weight}`);
    else if (now.address !== server.address || now.port !== server.port) commands.push(`set server ${path} addr ${server.address} port ${server.port}`);
    if (now !== undefined && now.weight !== weight) commands.push(`set server ${path} weight ${weight}`);
    // A weight of 0 is a drain; "ready" on top of it keeps one way of saying so.
    if (now === undefined || now.state !== 'ready') commands.push(`set server ${path} state ready`);
  }
  const removals: string[] = [];
  for (const [path, now] of known) {
    if (wished.has(path)) continue;
    if (now.state !== 'maint') commands.push(`set server ${path} state maint`);
    removals.push(`del server ${path}`);
  }
  return { commands, removals };
}

/** Reads `show servers state` (version 1): columns named in the line that starts with '#'. */
export function readServersState(text: string): LoadedServer[] {
  const lines = text.split('\n');
  const columns = (lines.find((line) => line.startsWith('# ')) ?? '').slice(2).split(' ');
  const at = (row: readonly string[], name: string): string => row[columns.indexOf(name)] ?? '';
  return lines.filter((line) => /^\d+ /.test(line)).map((line) => {
    const row = line.split(' ');
    const admin = Number(at(row, 'srv_admin_state'));
    return {
      backend: at(row, 'be_name'), name: at(row, 'srv_name'), address: at(row, 'srv_addr'), port: Number(at(row, 'srv_port')),
      // Bits: 1 forced, 2 inherited, 4 configured, 32 unresolved maintenance; 8 forced, 16 inherited drain.
      state: (admin & 0b100111) !== 0 ? 'maint' : (admin & 0b011000) !== 0 ? 'drain' : 'ready', weight: Number(at(row, 'srv_uweight')),
    };
  });
}
