/** The host's network, as seen from the rest of the pool layer. */
export type { HostNetwork, HostNetworkState, NetworkEndpoint, VirtualAddress } from './network.ts';
export { macOfAddress } from './mac-of-address.ts';
export { tapName, tapPrefix } from './interface-names.ts';
export { openHostNetwork, type HostNetworkDeps } from './host-network.ts';
