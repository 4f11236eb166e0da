/**
 * From what a service asks for and what its image says, the complete specification that the guest's
 * agent runs. Pure: the digest depends on nothing else, so an unchanged wish never restarts anything.
 */
import type { GuestContainerSpec, GuestMount, GuestProbe } from '#guest-protocol';
import type { ImageConfig } from './images/image.ts';
import { imageSerial } from './volume.ts';

/** What the caller wishes; null means: as the image says. */
export interface ContainerWish {
  readonly id: string;
  readonly hostname: string;
  readonly imageDigest: string;
  readonly entrypoint: readonly string[] | null;
  readonly command: readonly string[] | null;
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDir: string | null;
  readonly user: string | null;
  readonly groupAdd: readonly string[];
  readonly readOnly: boolean;
  readonly mounts: readonly GuestMount[];
  readonly limits: GuestContainerSpec['limits'];
  readonly network: GuestContainerSpec['network'];
  readonly dnsServers: readonly string[];
  readonly searchDomain: string;
  readonly extraHosts: readonly { readonly name: string; readonly address: string }[];
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly privileged: boolean;
  readonly init: boolean;
  readonly tty: boolean;
  readonly stopSignal: string | null;
  readonly stopGraceMs: number;
  readonly restart: GuestContainerSpec['restart'];
  readonly probe: GuestProbe | 'none' | null;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly ulimits: GuestContainerSpec['ulimits'];
  readonly shmBytes: number;
}

const defaultPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Docker's own defaults of a health check. */
const probeDefaults = { intervalMs: 30_000, timeoutMs: 30_000, retries: 3, startPeriodMs: 0, startIntervalMs: 5_000 };

export type DigestOf = (text: string) => string;

/** The wish joined with the image. `digestOf` hashes canonical JSON; passed in so that this file stays pure. */
export function buildGuestSpec(wish: ContainerWish, image: ImageConfig, digestOf: DigestOf): GuestContainerSpec {
  const spec = {
    id: wish.id,
    hostname: wish.hostname,
    imageSerial: imageSerial(wish.imageDigest),
    argv: argvOf(wish, image),
    env: environmentOf(wish, image),
    cwd: wish.workingDir ?? (image.workingDir || '/'),
    user: wish.user ?? image.user,
    extraGroups: wish.groupAdd,
    readOnlyRoot: wish.readOnly,
    mounts: [...wish.mounts, ...nameFiles(wish)],
    limits: wish.limits,
    network: wish.network,
    capabilities: { add: wish.capAdd, drop: wish.capDrop },
    privileged: wish.privileged,
    init: wish.init,
    tty: wish.tty,
    stopSignal: wish.stopSignal ?? (image.stopSignal || 'SIGTERM'),
    stopGraceMs: wish.stopGraceMs,
    restart: wish.restart,
    health: probeOf(wish, image),
    sysctls: wish.sysctls,
    ulimits: wish.ulimits,
    shmBytes: wish.shmBytes,
    logBytes: 2 * 1024 * 1024,
  };
  return { ...spec, digest: digestOf(canonicalJson(spec)) };
}

/** As Docker: an entrypoint of one's own drops the image's command. */
function argvOf(wish: ContainerWish, image: ImageConfig): readonly string[] {
  if (wish.entrypoint !== null) return [...wish.entrypoint, ...(wish.command ?? [])];
  return [...image.entrypoint, ...(wish.command ?? image.command)];
}

function environmentOf(wish: ContainerWish, image: ImageConfig): string[] {
  const merged = new Map<string, string>([splitPair(defaultPath), ['HOSTNAME', wish.hostname], ...image.env.map(splitPair)]);
  for (const [name, value] of Object.entries(wish.environment)) merged.set(name, value);
  return [...merged].map(([name, value]) => `${name}=${value}`);
}

function splitPair(pair: string): [string, string] {
  const at = pair.indexOf('=');
  return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
}

/** /etc/hosts, /etc/hostname and /etc/resolv.conf of the container. */
function nameFiles(wish: ContainerWish): GuestMount[] {
  const own = wish.network === null ? [] : [`${wish.network.address}\t${wish.hostname}`];
  const hosts = ['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback', ...own, ...wish.extraHosts.map((host) => `${host.address}\t${host.name}`)];
  const resolv = [...wish.dnsServers.map((server) => `nameserver ${server}`), `search ${wish.searchDomain}`, 'options ndots:1 timeout:2 attempts:3'];
  const file = (target: string, text: string): GuestMount => ({ kind: 'file', target, content: toBase64(text), mode: 0o644, uid: 0, gid: 0 });
  return [file('/etc/hosts', `${hosts.join('\n')}\n`), file('/etc/hostname', `${wish.hostname}\n`), file('/etc/resolv.conf', `${resolv.join('\n')}\n`)];
}

function probeOf(wish: ContainerWish, image: ImageConfig): GuestProbe | null {
  if (wish.probe === 'none') return null;
  if (wish.probe !== null) return wish.probe;
  const check = image.healthcheck;
  if (check === null || check.test.length === 0 || check.test[0] === 'NONE') return null;
  const [kind, ...rest] = check.test;
  const argv = kind === 'CMD' ? rest : ['/bin/sh', '-c', rest.join(' ')];
  return {
    ...probeDefaults,
    test: { kind: 'command', argv },
    ...(check.intervalMs ? { intervalMs: check.intervalMs } : {}),
    ...(check.timeoutMs ? { timeoutMs: check.timeoutMs } : {}),
    ...(check.retries ? { retries: check.retries } : {}),
    ...(check.startPeriodMs ? { startPeriodMs: check.startPeriodMs } : {}),
  };
}

function toBase64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

/** JSON with sorted keys, so that equal values have equal text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).filter(([, one]) => one !== undefined).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${pairs.map(([key, one]) => `${JSON.stringify(key)}:${canonicalJson(one)}`).join(',')}}`;
  }
  return JSON.stringify(value);
}
