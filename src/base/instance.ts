/**
 * One Strata on one host: its folders, and the names it may use on the host. Several instances can live
 * side by side (every test run makes its own), so nothing in the code names a folder, a bridge or a
 * subnet by itself.
 */
import { join } from 'node:path';

export interface Instance {
  /** Short name; part of the bridge's, table's and cgroup's names. At most 6 lower-case characters. */
  readonly name: string;
  /** What must survive a reboot: store, images, volumes, machines' disks. */
  readonly stateDir: string;
  /** What may vanish at a reboot: sockets, pid records. Short, because UNIX socket paths end at 107 bytes. */
  readonly runDir: string;
  /** What can be made again from its content key: guest OS builds, Debian packages. Shared by instances. */
  readonly cacheDir: string;
  /** Second byte pair of the instance's IPv4 network: 10.<subnet>.0.0/16. */
  readonly subnet: number;
}

/** Reads STRATA_INSTANCE, STRATA_STATE, STRATA_RUN, STRATA_CACHE, STRATA_SUBNET; the defaults are the system's. */
export function instanceFromEnvironment(env: Readonly<Record<string, string | undefined>>): Instance {
  const name = env['STRATA_INSTANCE'] ?? 'strata';
  const own = name === 'strata';
  return {
    name,
    stateDir: env['STRATA_STATE'] ?? (own ? '/var/lib/strata' : `/var/lib/strata-${name}`),
    runDir: env['STRATA_RUN'] ?? (own ? '/run/strata' : `/run/strata-${name}`),
    cacheDir: env['STRATA_CACHE'] ?? '/var/cache/strata',
    subnet: Number(env['STRATA_SUBNET'] ?? 88),
  };
}

/** The API's UNIX socket. */
export const apiSocketPath = (instance: Instance): string => join(instance.runDir, 'api.sock');
/** The bridge all taps of this instance hang on; at most 15 bytes. */
export const bridgeName = (instance: Instance): string => `${instance.name.slice(0, 6)}-br0`;
/** Gateway address: the host's own address on the bridge, where DNS answers too. */
export const gatewayAddress = (instance: Instance): string => `10.${instance.subnet}.0.1`;
