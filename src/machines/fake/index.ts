/** Side door of the fake engine: machines in memory, for tests of this layer and of all above it. */
export { openFakeEngine, type OpenFakeEngineOptions } from './open-fake-engine.ts';
export { fakeWorld, type FakeVmm, type FakeWorld } from './fake-world.ts';
export type { FakeGuest } from './fake-guest.ts';
export type { FakeContainer } from './fake-container.ts';
export { fakeNetwork, type FakeNetwork } from './fake-network.ts';
