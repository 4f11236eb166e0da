/**
 * What must hold once everything has come to rest: what is wished is there, and nothing else. Each fault is a sentence.
 * `always` holds at any moment, rest or not.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ContainerSpec } from '#containers';
import type { AppRecord } from '#services';
import { imageSerial } from '#containers';
import type { SimulatedHost } from './simulated-host.ts';

/** Never two VMMs of one machine, never two writers of one volume, never a wish that goes back. */
export function alwaysFaults({ world, generations }: SimulatedHost): string[] {
  return [...world.doubleStarts.map((id) => `machine ${id} was started while it ran`), ...world.doubleWriters, ...generations.faults];
}

export async function restFaults(host: SimulatedHost): Promise<string[]> {
  const { layers } = host.daemon;
  const [apps, statuses, specs, states, machines, volumes, places, operations] = await Promise.all([
    layers.services.apps.list(), layers.services.statuses.list(), layers.containers.specs.list(), layers.containers.statuses.list(), layers.machines.specs.list(),
    layers.containers.volumes.list(), layers.services.places.list(), layers.operations.list(),
  ]).then((lists) => lists.map((list) => list.map((one) => ('value' in one ? one.value : one)))) as [AppRecord[], { id: string; generation: number; settled: boolean; waitingOn: unknown }[], ContainerSpec[], { id: string; phase: string }[], { id: string; name: string; wanted: string }[], { id: string; appName: string }[], { appId: string; name: string; virtualAddress: string }[], { endedAt: number | null; kind: string }[]];
  const faults = alwaysFaults(host);
  const same = (what: string, found: Iterable<string>, wished: Iterable<string>): void => {
    const [is, should] = [[...found].sort(), [...wished].sort()];
    if (!isDeepStrictEqual(is, should)) faults.push(`${what}: there are [${is.filter((one) => !should.includes(one)).join(', ')}] too many and [${should.filter((one) => !is.includes(one)).join(', ')}] too few`);
  };
  for (const one of operations) if (one.endedAt === null) faults.push(`operation ${one.kind} still runs`);
  for (const app of apps) {
    const status = statuses.find((one) => one.id === app.id);
    const stopped = specs.some((one) => one.appId === app.id && one.wanted === 'stopped');
    if (status?.generation !== app.generation || !(status.settled || stopped)) faults.push(`app ${app.name} is not settled: ${JSON.stringify(status)}`);
    for (const service of app.spec.services) {
      same(`replicas of ${app.name}-${service.name}`, specs.filter((one) => one.appId === app.id && one.service === service.name).map((one) => String(one.index)), Array.from({ length: service.replicas }, (_none, at) => String(at + 1)));
    }
  }
  const owners = new Set(apps.map((app) => app.id));
  for (const one of specs) if (!owners.has(one.appId)) faults.push(`container ${one.name} belongs to no app`);
  for (const one of specs) if (one.draining) faults.push(`container ${one.name} still drains`);
  same('places of services', places.map((one) => `${one.appId}.${one.name}`), apps.flatMap((app) => app.spec.services.map((service) => `${app.id}.${service.name}`)));
  same('statuses of apps', statuses.map((one) => one.id), owners);
  same('statuses of containers', states.map((one) => one.id), specs.map((one) => one.id));
  same('disks of volumes', host.volumeDisks(), volumes.filter((one) => apps.some((app) => app.name === one.appName && app.spec.services.some((service) => service.mounts.length > 0)) || host.volumeDisks().includes(one.id)).map((one) => one.id));
  same('addresses', (await layers.addresses.list()).map((one) => one.owner), [...specs.map((one) => `container/${one.id}`), ...machines.map((one) => `machine/${one.id}`), ...places.map((one) => `service/${one.appId}.${one.name}`)]);
  same('ports', await portsOf(host), [`gateway/hosts ${layers.hostsPort}`, ...apps.flatMap((app) => app.spec.services.flatMap((service) => service.ports.map((port) => `app/${app.id} ${port.hostPort}`)))]);
  worldFaults(host, { apps, specs, machines }, same);
  await recordFaults(host, [...specs, ...machines, ...volumes, ...apps, ...operations as { id?: string }[]].map((one) => String(one.id)), faults);
  return faults;
}

interface Wished { readonly apps: readonly AppRecord[]; readonly specs: readonly ContainerSpec[]; readonly machines: readonly { readonly id: string; readonly wanted: string }[] }

/** What runs, is plugged in and is balanced, beside what the records say. */
function worldFaults({ world, network, gateway, edge }: SimulatedHost, { apps, specs, machines }: Wished, same: (what: string, found: Iterable<string>, wished: Iterable<string>) => void): void {
  const alive = [...world.vmms.values()].filter((vmm) => vmm.exit === undefined);
  same('running machines', alive.map((vmm) => vmm.spec.id), machines.filter((one) => one.wanted === 'running').map((one) => one.id));
  same('folders of machines', world.vmms.keys(), machines.map((one) => one.id));
  same('taps', network.taps, machines.map((one) => one.id));
  const inside = alive.flatMap((vmm) => [...vmm.guest?.containers.values() ?? []].map((container) => ({ machineId: vmm.spec.id, container })));
  const isJob = (spec: ContainerSpec) => spec.guest.argv[0] === 'exit';
  same('containers in guests', inside.map((one) => `${one.container.spec.id} in ${one.machineId}`), specs.filter((one) => inside.some(({ container }) => container.spec.id === one.id) || (one.wanted === 'running' && !isJob(one))).map((one) => `${one.id} in ${one.machineId}`));
  same('running containers', inside.filter((one) => one.container.runs).map((one) => `${one.container.spec.id} ${one.container.spec.digest}`), specs.filter((one) => one.wanted === 'running' && !isJob(one)).map((one) => `${one.id} ${one.guest.digest}`));
  const used = specs.flatMap((one) => (inside.some(({ container }) => container.spec.id === one.id) ? [imageSerial(one.image.digest), ...one.volumeIds].map((serial) => `${serial} in ${one.machineId}`) : []));
  same('plugged disks', alive.flatMap((vmm) => [...vmm.disks.keys()].map((serial) => `${serial} in ${vmm.spec.id}`)), new Set(used));
  same('endpoints of the network', network.applied?.endpoints.map((one) => one.address) ?? [], [...specs.map((one) => one.address), ...machines.flatMap((one) => ('network' in one ? [(one.network as { address: string }).address] : []))]);
  const up = apps.filter((app) => app.wanted === 'up');
  same('published binds', gateway.state?.binds.map((one) => String(one.port)) ?? [], up.flatMap((app) => app.spec.services.flatMap((service) => service.ports.map((port) => String(port.hostPort)))));
  const ready = new Set(inside.filter(({ container }) => container.runs && ['none', 'healthy'].includes(container.state().health)).map(({ container }) => container.spec.id));
  const balanced = (app: AppRecord) => new Set(app.spec.services.filter((service) => service.ports.length > 0 || service.expose.length > 0).map((service) => service.name));
  same('balanced servers', gateway.state?.backends.flatMap((one) => one.servers.map((server) => `${server.name} ${server.state}`)) ?? [], up.flatMap((app) => specs.filter((one) => one.appId === app.id && ready.has(one.id) && balanced(app).has(one.service)).map((one) => `${one.id} ready`)));
  same('names of services', Object.keys(edge.state?.names ?? {}).filter((name) => !/-\d+\./.test(name) && name.split('.').length === 3), up.flatMap((app) => app.spec.services.filter((service) => specs.some((one) => one.appId === app.id && one.service === service.name && (one.guest.health === null || ready.has(one.id)))).map((service) => `${service.name}.${app.name}.internal`)));
}

async function portsOf(host: SimulatedHost): Promise<string[]> {
  const { entries } = await host.daemon.layers.store.list('port/');
  return entries.map(({ value }) => value as { owner: string; port: number }).map((one) => `${one.owner} ${one.port}`);
}

/** Records that speak of what is no longer there. */
async function recordFaults(host: SimulatedHost, known: readonly string[], faults: string[]): Promise<void> {
  const { entries } = await host.daemon.layers.store.list('');
  const lasting = ['address/', 'address-owner/', 'port/', 'engine-proof/', 'service/', 'host/'];
  const stray = entries.map((one) => one.key).filter((key) => !lasting.some((prefix) => key.startsWith(prefix)) && !known.some((id) => key.includes(id)));
  if (stray.length > 0) faults.push(`records of nothing: ${stray.join(', ')}`);
}
