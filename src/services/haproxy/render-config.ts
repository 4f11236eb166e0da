/**
 * HAProxy's configuration as text. Pure; the state has passed `checkGatewayState`, whose alphabets hold no blank, quote,
 * line end, or percent sign. Structure (what only a reload can change) and servers are told apart, because servers are
 * changed in the running process.
 */
import { parkingServer } from '../gateway/check-gateway-state.ts';
import type { GatewayBackend, GatewayState } from '../gateway/gateway.ts';

export interface HaproxyPlaces {
  /** Socket of the worker's runtime API. */
  readonly socketPath: string;
  /** Empty folder the worker locks itself into. */
  readonly emptyDir: string;
  /** Map of host names to backends. */
  readonly mapPath: string;
  /** Where the edge of this instance parks. */
  readonly parkingAddress: string;
  /** Whether the host has ::1. */
  readonly ipv6: boolean;
}

/** Everything but the servers, in a form that changes exactly when a reload is needed. */
export function renderStructure(state: GatewayState, places: HaproxyPlaces): string {
  return render({ ...state, backends: state.backends.map((backend) => ({ ...backend, servers: [] })) }, places, '');
}

/** @param mark letters and digits that stand for the structure; the running process tells it (`show info`) */
export function renderConfig(state: GatewayState, places: HaproxyPlaces, mark: string): string {
  return render(state, places, mark);
}

/** `host backend` lines, sorted. */
export function renderHostMap(state: GatewayState): string {
  return Object.entries(state.hosts.routes).sort(([one], [other]) => (one < other ? -1 : 1)).map(([host, backend]) => `${host} ${backend}\n`).join('');
}

function render(state: GatewayState, places: HaproxyPlaces, mark: string): string {
  const backends = [...state.backends].sort((one, other) => (one.name < other.name ? -1 : 1));
  return [
    ...globalLines(places, mark), ...defaultLines, ...hostLines(state, places), ...bindLines(state), ...backends.flatMap((backend) => backendLines(backend, places)), '',
  ].join('\n');
}

function globalLines(places: HaproxyPlaces, mark: string): string[] {
  return [
    'global',
    '  user haproxy',
    '  group haproxy',
    `  chroot ${places.emptyDir}`,
    `  stats socket ${places.socketPath} mode 600 level admin expose-fd listeners`,
    '  stats timeout 60s',
    '  hard-stop-after 30m', // connections that outlive a reload
    '  no strict-limits',
    '  fd-hard-limit 60000',
    `  description ${mark}`,
  ];
}

const defaultLines: readonly string[] = [
  'defaults http-like', '  mode http',
  '  timeout connect 3s', '  timeout client 5m', '  timeout server 5m', '  timeout http-request 30s', '  timeout http-keep-alive 60s', '  timeout tunnel 24h', '  timeout queue 30s',
  '  option idle-close-on-response', // a reload never cuts a client that is about to ask again
  '  option forwardfor', '  option redispatch 1', '  retries 3', '  retry-on conn-failure', '  option splice-auto',
  'defaults tcp-like', '  mode tcp',
  '  timeout connect 3s', '  timeout client 24h', '  timeout server 24h', '  timeout queue 30s',
  '  option redispatch 1', '  retries 3', '  option clitcpka', '  option srvtcpka', '  option splice-auto',
];

function hostLines(state: GatewayState, places: HaproxyPlaces): string[] {
  return [
    'frontend :hosts from http-like',
    `  bind 127.0.0.1:${state.hosts.port}`,
    ...(places.ipv6 ? [`  bind [::1]:${state.hosts.port} v6only`] : []),
    '  http-request set-header X-Forwarded-Proto http',
    `  http-request set-var(txn.to) req.hdr(host),field(1,:),lower,map_str(${places.mapPath})`,
    '  http-request return status 404 content-type text/plain string "No service answers under this host name here. The command \'strata ps\' shows which do.\\n" unless { var(txn.to) -m found }',
    '  use_backend %[var(txn.to)]',
  ];
}

function bindLines(state: GatewayState): string[] {
  const modes = new Map(state.backends.map(({ name, mode }) => [name, mode]));
  const binds = [...state.binds].sort((one, other) => one.port - other.port || (one.address < other.address ? -1 : 1));
  return binds.flatMap(({ address, port, backend }) => {
    const mode = modes.get(backend) ?? 'tcp';
    return [
      `frontend ${address}:${port} from ${mode}-like`,
      address.includes(':') ? `  bind [${address}]:${port} v6only` : `  bind ${address}:${port}`,
      ...(mode === 'http' ? ['  http-request set-header X-Forwarded-Proto http'] : []),
      `  default_backend ${backend}`,
    ];
  });
}

function backendLines(backend: GatewayBackend, places: HaproxyPlaces): string[] {
  const servers = [...backend.servers].sort((one, other) => (one.name < other.name ? -1 : 1));
  return [
    `backend ${backend.name} from ${backend.mode}-like`,
    '  balance roundrobin',
    ...servers.map(({ name, address, port, state, weight }) => `  server ${name} ${address}:${port} weight ${state === 'drain' ? 0 : weight}`),
    // Never reuse a parked connection: it leads to whatever replica it was handed to.
    ...(backend.parkingPort === null ? [] : [`  server ${parkingServer} ${places.parkingAddress}:${backend.parkingPort} backup pool-max-conn 0`]),
  ];
}
