/** Which machines an app would need beyond those it has: pure; asked before anything of the app changes. */
import type { MachineSpec } from '#machines';
import type { AppSpec } from './app.ts';
import type { AppRecord } from './app-record.ts';
import { assignMachines, dedicatedTo, type AppHost, type MachineWish } from './assign-machines.ts';
import { disksOf, needOf, withEngine } from './plan-app.ts';

/** @param engines what was chosen for each service */
export function machinesToMake(app: AppSpec, engines: AppRecord['engines'], machines: readonly MachineSpec[], host: AppHost): readonly MachineWish[] {
  const replicas = app.services.flatMap((service) => Array.from({ length: service.replicas }, (_, at) => ({ service, index: at + 1 })));
  const dedicated = replicas.filter(({ service }) => service.isolation === 'dedicated').map(({ service, index }) => ({ service: service.name, index }));
  const there = machines.map((spec) => ({
    id: spec.id, name: spec.name, architecture: spec.architecture, engine: spec.engine, memoryMiB: spec.memoryMiB, dedicatedTo: dedicatedTo(app.name, spec, dedicated), promisedMiB: 0, disks: [],
  }));
  return assignMachines(app.name, replicas.map(({ service, index }) => needOf({ service: withEngine(service, engines[service.name]?.engine), index, disks: disksOf(service, service.image.reference, (volume) => volume) })), there, host).make;
}
