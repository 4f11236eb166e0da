/**
 * From a service of the app and its places, the wish handed to the containers layer; and the digest by
 * which a change of that wish is noticed. Pure.
 */
import { canonicalJson, imageSerial, type ContainerWish } from '#containers';
import type { GuestMount } from '#guest-protocol';
import type { AppRecord } from './app-record.ts';
import type { ServiceSpec } from './app.ts';

export interface ContainerPlace {
  readonly id: string;
  readonly index: number;
  readonly address: string;
  readonly mac: string;
  readonly gateway: string;
  /** Volume ids by their name in the file. */
  readonly volumes: ReadonlyMap<string, string>;
}

export function containerWish(app: AppRecord, service: ServiceSpec, place: ContainerPlace): ContainerWish {
  const hostname = service.hostname ?? `${service.name}-${place.index}`;
  return {
    id: place.id,
    hostname,
    imageDigest: app.images[service.name]?.digest ?? '',
    entrypoint: service.entrypoint, command: service.command,
    environment: { ...service.environment },
    workingDir: service.workingDir, user: service.user, groupAdd: service.groupAdd,
    readOnly: service.readOnly,
    mounts: [...service.mounts.map((mount) => mountOf(mount, place)), ...service.files.map((file): GuestMount => ({ kind: 'file', target: file.target, content: file.content, mode: file.mode, uid: file.uid, gid: file.gid }))],
    limits: service.limits,
    network: { address: place.address, gateway: place.gateway, mac: place.mac },
    dnsServers: service.dns.length > 0 ? service.dns : [place.gateway],
    searchDomain: `${app.name}.internal`,
    extraHosts: service.extraHosts.map((host) => ({ name: host.name, address: host.address === 'host-gateway' ? place.gateway : host.address })),
    capAdd: service.capAdd, capDrop: service.capDrop, privileged: service.privileged,
    init: service.init, tty: service.tty,
    stopSignal: service.stopSignal, stopGraceMs: service.stopGraceMs,
    restart: service.restart,
    probe: service.healthcheck,
    sysctls: service.sysctls, ulimits: service.ulimits, shmBytes: service.shmBytes,
  };
}

function mountOf(mount: ServiceSpec['mounts'][number], place: ContainerPlace): GuestMount {
  if (mount.kind === 'tmpfs') return mount;
  return { kind: 'volume', serial: place.volumes.get(mount.volume) ?? '', target: mount.target, readOnly: mount.readOnly, ...(mount.subpath === undefined ? {} : { subpath: mount.subpath }) };
}

/**
 * What makes a container of this service the same or another: everything it is run with, nothing of how
 * many there are, how they come to run, how they are published or what they wait for.
 */
export function configDigestOf(app: AppRecord, service: ServiceSpec, digestOf: (text: string) => string): string {
  const { replicas: _replicas, ports: _ports, expose: _expose, dependsOn: _dependsOn, aliases: _aliases, image: _image, reservations: _reservations, start: _start, afterClone: _afterClone, ...run } = service;
  const asked = app.recreateServices.length === 0 || app.recreateServices.includes(service.name);
  return digestOf(canonicalJson({ run, image: imageSerial(app.images[service.name]?.digest ?? ''), token: asked ? app.recreateToken : '' }));
}
