/** A host's network in memory, for tests: remembers which taps there are and what was applied last. */
import type { HostNetwork, HostNetworkState } from '#pool';

export interface FakeNetwork extends HostNetwork {
  readonly taps: ReadonlySet<string>;
  readonly applied: HostNetworkState | undefined;
}

export function fakeNetwork(): FakeNetwork {
  const taps = new Set<string>();
  let applied: HostNetworkState | undefined;
  return {
    taps,
    get applied() { return applied; },
    async ensure() { /* nothing to make */ },
    async ensureTap(machineId) { taps.add(machineId); return `fake-t${machineId.slice(-7)}`; },
    async handOverTap(fromId, toId) {
      taps.delete(fromId);
      taps.add(toId);
    },
    async removeTap(machineId) { taps.delete(machineId); },
    async apply(state) { applied = state; },
    async erase() { taps.clear(); applied = undefined; },
  };
}
