/**
 * For tests: a network namespace that stands where a machine would, behind a link with the tap's name. Each address in
 * it has a macvlan link of its own in a namespace of its own, exactly as containers in a guest have.
 */
import { runProcess, type Instance } from '#base';
import { tapName } from '../interface-names.ts';
import { macOfAddress } from '../mac-of-address.ts';

export interface StandIn {
  readonly machineId: string;
  /** Runs a program as the container with that address. */
  run(address: string, argv: readonly string[], okCodes?: readonly number[]): Promise<{ readonly code: number; readonly stdout: string }>;
  /** argv that does so, for programs that stay. */
  inside(address: string, argv: readonly string[]): readonly [string, ...string[]];
  erase(): Promise<void>;
}

/** Makes link and namespaces; `ensureTap` of the same machine then finds the link and sets it up. */
export async function makeStandIn(instance: Instance, machineId: string, addresses: readonly string[]): Promise<StandIn> {
  const gateway = `10.${instance.subnet}.0.1`;
  const guest = `${instance.name}-${machineId}`;
  const nameOf = (address: string): string => `${instance.name}-${address}`;
  await ip('netns', 'add', guest);
  await ip('link', 'add', tapName(instance, machineId), 'type', 'veth', 'peer', 'name', 'eth0', 'netns', guest);
  await ip('-n', guest, 'link', 'set', 'eth0', 'up');
  for (const address of addresses) {
    const name = nameOf(address);
    await ip('netns', 'add', name);
    await ip('-n', guest, 'link', 'add', 'link', 'eth0', 'name', 'mv0', 'address', macOfAddress(address), 'type', 'macvlan', 'mode', 'private');
    await ip('-n', guest, 'link', 'set', 'mv0', 'netns', name);
    for (const line of [`link set lo up`, `link set mv0 name eth0 up`, `address add ${address}/32 dev eth0`, `route add ${gateway} dev eth0`, `route add default via ${gateway}`]) await ip('-n', name, ...line.split(' '));
  }
  const inside = (address: string, argv: readonly string[]): readonly [string, ...string[]] => ['ip', 'netns', 'exec', nameOf(address), ...argv];
  return {
    machineId,
    inside,
    run: (address, argv, okCodes) => runProcess(inside(address, argv), { timeoutMs: 10_000, ...(okCodes === undefined ? {} : { okCodes }) }),
    async erase() {
      for (const name of [...addresses.map(nameOf), guest]) await runProcess(['ip', 'netns', 'delete', name], { okCodes: [0, 1] });
    },
  };
}

async function ip(...args: readonly string[]): Promise<void> {
  await runProcess(['ip', ...args]);
}
