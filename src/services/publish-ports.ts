/**
 * Published ports are taken before anything else of an app changes, so that a port somebody else holds is a
 * clear refusal and not a half-deployed app. Port 0 becomes a free one, the same at every later `up`.
 */
import { StrataError, waitUntil, type Clock } from '#base';
import type { Ports } from '#pool';
import { appKey } from './app-record.ts';
import type { AppSpec, PublishedPort, ServiceSpec } from './app.ts';

/** How long a gateway that was reloaded may take to let go of a port. */
const freedLimitMs = 2000;

/**
 * The app with every published port fixed and held in the app's name.
 * @param before what is published now, to keep chosen ports
 * @throws StrataError `pool.portTaken`, `pool.portsExhausted`; ports taken by this call are given back then
 */
export async function publishPorts(ports: Ports, appId: string, app: AppSpec, before: AppSpec | undefined): Promise<AppSpec> {
  const owner = appKey(appId);
  const held = new Set((await ports.list()).filter((one) => one.owner === owner).map((one) => `${one.port}/${one.protocol}`));
  const taken: { readonly port: number; readonly protocol: 'tcp' | 'udp' }[] = [];
  try {
    const services: ServiceSpec[] = [];
    for (const service of app.services) {
      const fixed: PublishedPort[] = [];
      for (const port of service.ports) {
        const wish = port.hostPort === 0 ? chosenBefore(before, service.name, port) : port.hostPort;
        const hostPort = await ports.take(owner, wish, port.protocol);
        if (!held.has(`${hostPort}/${port.protocol}`)) taken.push({ port: hostPort, protocol: port.protocol });
        fixed.push({ ...port, hostPort });
      }
      services.push({ ...service, ports: fixed });
    }
    return { ...app, services };
  } catch (thrown) {
    for (const one of taken) await ports.releasePort(owner, one.port, one.protocol);
    throw thrown;
  }
}

/**
 * As publishPorts, where the gateway may still listen on a port of an app that has just gone: it is made to follow, and a
 * port that nobody holds is tried again for a moment.
 * @throws StrataError `pool.portTaken`, `pool.portsExhausted`
 */
export async function publishFreedPorts(publish: () => Promise<AppSpec>, syncTraffic: () => Promise<void>, clock: Clock): Promise<AppSpec> {
  let failure: StrataError | undefined;
  const attempt = async (): Promise<AppSpec | undefined> => {
    try {
      return await publish();
    } catch (thrown) {
      if (!(thrown instanceof StrataError && thrown.code === 'pool.portTaken' && thrown.details?.['owner'] === undefined)) throw thrown;
      failure = thrown;
      await syncTraffic();
      return undefined;
    }
  };
  return waitUntil(attempt, { what: 'the gateway has let go of the port', limitMs: freedLimitMs, everyMs: 100, clock }).catch((thrown: unknown) => { throw failure ?? thrown; });
}

/** Gives back what the app holds and no longer publishes. */
export async function releaseUnpublished(ports: Ports, appId: string, app: AppSpec): Promise<void> {
  const owner = appKey(appId);
  const published = new Set(app.services.flatMap((service) => service.ports.map((port) => `${port.hostPort}/${port.protocol}`)));
  for (const one of await ports.list()) {
    if (one.owner === owner && !published.has(`${one.port}/${one.protocol}`)) await ports.releasePort(owner, one.port, one.protocol);
  }
}

function chosenBefore(before: AppSpec | undefined, service: string, port: PublishedPort): number {
  const known = before?.services.find((one) => one.name === service)?.ports;
  return known?.find((one) => one.containerPort === port.containerPort && one.protocol === port.protocol && one.hostAddress === port.hostAddress)?.hostPort ?? 0;
}
