/** Door of the pool layer: hosts and what they carry, addresses, ports, the packages a host needs, its network. */
export { hostKey, hostSchema, promisedSchema, proofSchema, type Host, type Promised, type Proof } from './host.ts';
export { openHost, type OpenHostDeps, type PoolHost } from './open-host.ts';
export { observeHost, type LookAtHost } from './observe-host.ts';
export { firstTooLarge, freeOf, placeMachine, placementError, processorOvercommit, TooLargeError, type FreeOfHost, type Placement, type PlacementRequest, type Shortage } from './place-machine.ts';
export { openAddresses, type AddressRange, type Addresses } from './addresses.ts';
export { openPorts, portIsFree, type PortIsFree, type PortProtocol, type Ports } from './ports.ts';
export { hostPackages, packagesFor, type HostPackage } from './host-packages.ts';
export { findPackages, type FoundPackage } from './find-packages.ts';
export { installPackages, type InstallProgress } from './install-packages.ts';
export { checkHost, type HostCheck, type HostFindings } from './check-host.ts';
export { inspectHost } from './inspect-host.ts';
// The network of the host: its builder adds the exports of ./network/index.ts here.
export type { HostNetwork, HostNetworkState, NetworkEndpoint, VirtualAddress } from './network/network.ts';
export { macOfAddress } from './network/mac-of-address.ts';
export { openHostNetwork, type HostNetworkDeps } from './network/host-network.ts';
