/** What a host carries, without ids, addresses and times: equal pictures are equal ends. */
import type { SimulatedHost } from './simulated-host.ts';

export async function pictureOf(host: SimulatedHost): Promise<unknown> {
  const { layers } = host.daemon;
  const machines = (await layers.machines.specs.list()).map((one) => one.value);
  const nameOf = (id: string) => machines.find((one) => one.id === id)?.name;
  const volumes = (await layers.containers.volumes.list()).map((one) => one.value);
  const states = (await layers.containers.statuses.list()).map((one) => one.value);
  const byText = (one: unknown, other: unknown) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1);
  return {
    apps: (await layers.services.apps.list()).map(({ value }) => ({ name: value.name, wanted: value.wanted, services: value.spec.services, volumes: value.spec.volumes, images: value.images })),
    containers: (await layers.containers.specs.list()).map(({ value }) => ({
      name: value.name, machine: nameOf(value.machineId), image: value.image, argv: value.guest.argv, env: value.guest.env, wanted: value.wanted, phase: states.find((one) => one.id === value.id)?.phase,
      volumes: value.volumeIds.map((id) => volumes.find((one) => one.id === id)?.name),
    })).sort(byText),
    machines: machines.map((one) => ({ name: one.name, memoryMiB: one.memoryMiB, processors: one.processors, wanted: one.wanted })).sort(byText),
    volumes: volumes.map((one) => one.name).sort(),
    binds: host.gateway.state?.binds.map((one) => one.port).sort() ?? [],
    servers: host.gateway.state?.backends.map((one) => ({ name: one.name, servers: one.servers.map(({ port, state }) => ({ port, state })) })).sort(byText) ?? [],
    names: Object.keys(host.edge.state?.names ?? {}).sort(),
  };
}
