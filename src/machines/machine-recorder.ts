/** Writes what the layer knows of machines: status and last start together, whole or not at all, and only what changed. */
import { isDeepStrictEqual } from 'node:util';
import { StrataError } from '#base';
import { recordsOf, type Compare, type Records, type Store, type Write } from '#store';
import { machineSpecSchema, machineStatusSchema, type MachineSpec, type MachineStatus } from './machine.ts';
import { machineRunKind, machineRunSchema, type MachineRun } from './machine-run.ts';
import type { MachineRecords } from './machine-states.ts';

export interface MachineRecorder {
  readonly specs: Records<MachineSpec>;
  readonly statuses: Records<MachineStatus>;
  readonly runs: Records<MachineRun>;
  read(id: string): Promise<MachineRecords & { readonly spec: MachineSpec | undefined }>;
  /** Reads, changes, writes; again where somebody else wrote. */
  change(id: string, change: (before: MachineRecords, spec: MachineSpec | undefined) => MachineRecords): Promise<MachineRecords>;
  forget(id: string): Promise<void>;
}

const attempts = 50;

export function machineRecorder(store: Store): MachineRecorder {
  const specs = recordsOf(store, 'machine', machineSpecSchema);
  const statuses = recordsOf(store, 'machine-status', machineStatusSchema);
  const runs = recordsOf(store, machineRunKind, machineRunSchema);
  const compareOf = (key: string, revision: number | undefined): Compare => (revision === undefined ? { key, absent: true } : { key, revision });

  return {
    specs, statuses, runs,
    async read(id) {
      const [spec, status, run] = await Promise.all([specs.get(id), statuses.get(id), runs.get(id)]);
      return { spec: spec?.value, status: status?.value, run: run?.value };
    },
    async change(id, change) {
      for (let attempt = 0; attempt < attempts; attempt += 1) {
        const [spec, status, run] = await Promise.all([specs.get(id), statuses.get(id), runs.get(id)]);
        const before = { status: status?.value, run: run?.value };
        const after = change(before, spec?.value);
        const writes: Write[] = [];
        if (after.status !== undefined && !isDeepStrictEqual(after.status, before.status)) writes.push(statuses.putWrite(id, after.status));
        if (after.run !== undefined && !isDeepStrictEqual(after.run, before.run)) writes.push(runs.putWrite(id, after.run));
        if (writes.length === 0) return before;
        const result = await store.transact({ compare: [compareOf(statuses.key(id), status?.revision), compareOf(runs.key(id), run?.revision)], writes });
        if (result.committed) return after;
      }
      throw new StrataError(`the records of machine ${id} change too fast`, { code: 'store.conflict', kind: 'conflict' });
    },
    async forget(id) {
      await store.transact({ writes: [{ delete: statuses.key(id) }, { delete: runs.key(id) }] });
    },
  };
}
