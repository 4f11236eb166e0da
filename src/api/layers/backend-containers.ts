/** Containers and volumes, of one app or of all. */
import { stat } from 'node:fs/promises';
import { StrataError } from '#base';
import type { Container } from '#contract';
import { volumePath, type ContainerSpec } from '#containers';
import type { Backend } from '../backend.ts';
import { findByHandle, someOf } from './find-record.ts';
import { execInGuest } from './guest-terminal.ts';
import type { Layers } from './layers.ts';
import { showContainer, showVolume } from './show-app.ts';

/** In the order people read them: by app, service and number. */
export async function listContainers(layers: Layers, wanted: (spec: ContainerSpec) => boolean = () => true): Promise<readonly Container[]> {
  const [specs, statuses, machines, machineStates, apps, hosts] = await Promise.all([
    layers.containers.specs.list(), layers.containers.statuses.list(), layers.machines.specs.list(), layers.machines.statuses.list(), layers.services.apps.list(), layers.host.hosts.list(),
  ]);
  const hostName = hosts.find((one) => one.id === layers.host.id)?.value.name ?? layers.host.id;
  return specs.map((one) => one.value).filter(wanted).toSorted((a, b) => compare(a.name, b.name) || a.index - b.index || a.createdAt - b.createdAt).map((spec) => {
    const machine = machines.find((one) => one.id === spec.machineId)?.value;
    const app = apps.find((one) => one.value.id === spec.appId)?.value;
    return showContainer({
      spec, status: statuses.find((one) => one.id === spec.id)?.value, hostName,
      machine: machine === undefined ? undefined : { spec: machine, status: machineStates.find((one) => one.id === machine.id)?.value },
      service: app?.spec.services.find((one) => one.name === spec.service), engineWhy: app?.engines[spec.service]?.why ?? '',
    });
  });
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export function containersBackend(layers: Layers): Backend['containers'] {
  async function find(handle: string): Promise<Container> {
    const all = await listContainers(layers);
    const replicas = all.filter((one) => one.service === handle).map((one) => one.name);
    // A service's name is what people have at hand; which of its containers is meant, they alone know.
    const meant = replicas.length > 0 && all.every((one) => one.id !== handle && one.name !== handle);
    if (meant) throw new StrataError(`there is no container ${handle}`, { code: 'container.notFound', kind: 'notFound', advice: `${handle} is a service; of it there is: ${someOf(replicas)}` });
    return findByHandle('container', handle, all);
  }
  return {
    list: () => listContainers(layers),
    get: find,
    async exec(handle, request, session) {
      const { id } = await find(handle);
      return execInGuest(await layers.containers.connection(id), id, request, session);
    },
  };
}

export function volumesBackend(layers: Layers): Backend['volumes'] {
  return {
    async list() {
      const specs = (await layers.containers.specs.list()).map((one) => one.value);
      return Promise.all((await layers.containers.volumes.list()).map(async ({ value }) => {
        // Blocks really taken: the file is sparse. It does not exist before its first use.
        const file = await stat(volumePath(layers.instance, value.id)).catch((error: NodeJS.ErrnoException) => { if (error.code === 'ENOENT') return undefined; throw error; });
        return showVolume(value, (file?.blocks ?? 0) * 512, specs.find((one) => one.volumeIds.includes(value.id))?.name ?? null);
      }));
    },
  };
}
