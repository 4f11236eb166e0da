/** A machine's two records as the one view of the contract. Pure. */
import { permissionsIn, type Machine, type MachinePhase } from '#contract';
import type { MachineSpec, MachineStatus } from '#machines';

/** Milliseconds since 1970 as the contract's time. */
export const timeOf = (milliseconds: number): string => new Date(milliseconds).toISOString();
export const timeOrNull = (milliseconds: number | null | undefined): string | null => (milliseconds === null || milliseconds === undefined ? null : timeOf(milliseconds));

export interface MachineView {
  readonly spec: MachineSpec;
  readonly revision: number;
  readonly status: MachineStatus | undefined;
  readonly hostName: string;
  /** Name of the app it was made for. */
  readonly app: string | null;
}

/** What decides which actions a machine permits, in the order in which the table asks for it. */
export function groundsOf(spec: MachineSpec, status: MachineStatus | undefined): [phase: MachinePhase, engine: string | null, served: readonly string[]] {
  const named = spec.engine === 'auto' ? null : spec.engine;
  return [status?.phase ?? 'defined', status?.engine ?? named, spec.disks.filter((disk) => disk.backend !== undefined).map((disk) => disk.serial)];
}

export function showMachine({ spec, revision, status, hostName, app }: MachineView): Machine {
  const grounds = groundsOf(spec, status);
  return {
    id: spec.id, name: spec.name, host: hostName, architecture: spec.architecture,
    engine: status?.engine ?? null, engineWhy: status?.engineWhy ?? '', accelerator: status?.accelerator ?? null, isolation: status?.isolation ?? null,
    processors: spec.processors, memoryMiB: spec.memoryMiB, address: spec.network?.address ?? null,
    disks: spec.disks.map(({ serial, format, backend }) => ({ name: serial, format, backend: backend ?? 'vmm' })),
    app, wanted: spec.wanted, phase: grounds[0], why: status?.why ?? '', guest: status?.guest ?? null, pid: status?.process?.pid ?? null,
    restarts: status?.restarts ?? 0,
    exit: status?.exit === undefined || status.exit === null ? null : { code: status.exit.code, signal: status.exit.signal, at: timeOf(status.exit.at), stderr: status.exit.stderr },
    bootMs: status?.bootMs ?? null, startedBy: status?.startedBy ?? null, startedAt: timeOrNull(status?.startedAt), createdAt: timeOf(spec.createdAt),
    actions: permissionsIn(...grounds), revision,
  };
}
