/**
 * The host's network as one value: what the bridge, the taps, the neighbour entries and the one nftables
 * table must look like. Upper layers compute it; `HostNetwork.apply` makes it so, atomically for the table.
 * Rules: design.md decision 9.
 */

/** One address on the bridge: a machine's own or a container's. Its MAC is a function of the address (macOfAddress). */
export interface NetworkEndpoint {
  readonly address: string;
  /** The machine behind whose tap it is. */
  readonly machineId: string;
  /** Endpoints talk only within their project; null for machines made by hand. */
  readonly project: string | null;
}

/** A service's virtual address, spread by the kernel over ready replicas; with none, over the edge, which parks. */
export interface VirtualAddress {
  readonly address: string;
  readonly project: string;
  readonly ports: readonly { readonly protocol: 'tcp' | 'udp'; readonly port: number }[];
  readonly backends: readonly string[]; // addresses of ready replicas, same port
  /** Where connections go while no replica is ready: port of the edge on the gateway address, by port. */
  readonly parking: Readonly<Record<number, number>>;
}

export interface HostNetworkState {
  readonly endpoints: readonly NetworkEndpoint[];
  readonly virtualAddresses: readonly VirtualAddress[];
}

export interface HostNetwork {
  /** Makes the gateway's link and, where there is none, an empty table; idempotent; called at the daemon's start. */
  ensure(): Promise<void>;
  /** A tap for a machine, routed by the host; idempotent. `ownerUid` may open it without privileges. Returns its interface name. */
  ensureTap(machineId: string, options?: { readonly ownerUid?: number }): Promise<string>;
  /** What is behind the tap of one machine is another's from now on: the tap gets that one's name, and one it had goes. */
  handOverTap(fromId: string, toId: string): Promise<void>;
  removeTap(machineId: string): Promise<void>;
  /** Makes table, neighbour and forwarding entries as said; idempotent. The same state again is a look for what others have changed. */
  apply(state: HostNetworkState): Promise<void>;
  /** Removes bridge, taps, table of this instance. */
  erase(): Promise<void>;
}
