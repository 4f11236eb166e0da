/** What there is of an app now, as the planner sees it. */
import type { ContainerSpec, ContainerStatus, Volume } from '#containers';
import type { MachineSpec, MachineStatus } from '#machines';
import type { ServiceRecord, ServiceTemplate } from './app-record.ts';
import type { AppHost } from './assign-machines.ts';

export interface AppObserved {
  readonly containers: readonly { readonly spec: ContainerSpec; readonly status: ContainerStatus | undefined }[];
  readonly machines: readonly { readonly spec: MachineSpec; readonly status: MachineStatus | undefined }[];
  readonly volumes: readonly Volume[];
  readonly services: readonly ServiceRecord[];
  readonly templates?: readonly { readonly record: ServiceTemplate; readonly misfit: string | undefined }[];
  readonly sessions: ReadonlyMap<string, number>;
  readonly host: AppHost;
  /** Digest of what each service asks for now, from its specification and image. */
  readonly configDigests: ReadonlyMap<string, string>;
}
