/**
 * Ports are taken before the record they are for is written. A daemon that dies in between leaves them without an owner;
 * the next one gives them back before it does anything else, and addresses whose record went without them.
 */
import type { Containers } from '#containers';
import type { MachineSpec } from '#machines';
import type { Addresses, Ports } from '#pool';
import type { Records } from '#store';
import { appKey, serviceKey, type AppRecord, type ServiceRecord } from './app-record.ts';
import { releaseUnpublished } from './publish-ports.ts';

export interface SweepDeps {
  readonly apps: Records<AppRecord>;
  readonly places: Records<ServiceRecord>;
  readonly machineSpecs: Records<MachineSpec>;
  readonly containers: Pick<Containers, 'specs'>;
  readonly addresses: Addresses;
  readonly ports: Ports;
}

export async function sweepLeftovers(deps: SweepDeps): Promise<void> {
  const apps = (await deps.apps.list()).map((one) => one.value);
  await sweepPorts(deps, apps);
  await sweepAddresses(deps);
}

async function sweepPorts({ ports }: SweepDeps, apps: readonly AppRecord[]): Promise<void> {
  const known = new Set(apps.map((app) => appKey(app.id)));
  const lost = (await ports.list()).filter((one) => one.owner.startsWith('app/') && !known.has(one.owner));
  for (const one of lost) await ports.releasePort(one.owner, one.port, one.protocol);
  for (const app of apps) await releaseUnpublished(ports, app.id, app.spec);
}

async function sweepAddresses(deps: SweepDeps): Promise<void> {
  const [containers, machines, places] = await Promise.all([deps.containers.specs.list(), deps.machineSpecs.list(), deps.places.list()]);
  const known = new Set([
    ...containers.map((one) => `container/${one.id}`), ...machines.map((one) => `machine/${one.id}`), ...places.map(({ value }) => serviceKey(value.appId, value.name)),
  ]);
  const lost = (await deps.addresses.list()).filter(({ owner }) => /^(container|machine|service)\//.test(owner) && !known.has(owner));
  for (const { owner } of lost) await deps.addresses.release(owner);
}
