/** Back ends of machines' disks: what serves them, how it goes, and one restart. */
import { newId, StrataError } from '#base';
import type { DiskBackend } from '#contract';
import { backendAbilities, storageDaemon, type BackendRecord, type BackendStatus, type MachineSpec, type MachineStatus } from '#machines';
import type { Backend } from '../backend.ts';
import { findByHandle } from './find-record.ts';
import type { Layers } from './layers.ts';
import { timeOf, timeOrNull } from './show-machine.ts';

interface Found { readonly id: string; readonly name: string; readonly record: BackendRecord; readonly status: BackendStatus | undefined; readonly machine: MachineSpec | undefined; readonly machineStatus: MachineStatus | undefined }

export function backendsBackend(layers: Layers): Backend['backends'] {
  const { specs, statuses, backends } = layers.machines;

  async function all(): Promise<readonly Found[]> {
    if (backends === undefined) return [];
    const [records, seen, machines, machineStates] = await Promise.all([backends.records.list(), backends.statuses.list(), specs.list(), statuses.list()]);
    return records.map(({ id, value: record }) => {
      const machine = machines.find((one) => one.id === record.machineId)?.value;
      const status = seen.find((one) => one.id === id)?.value;
      return { id, name: `${machine?.name ?? record.machineId}-${record.disk.serial}`, record, status, machine, machineStatus: machineStates.find((one) => one.id === record.machineId)?.value };
    });
  }
  const find = async (handle: string): Promise<Found> => findByHandle('backend', handle, await all());

  return {
    list: async () => (await all()).map(show),
    get: async (handle) => show(await find(handle)),
    log: async (handle) => (await find(handle)).status?.log.map(({ at, text }) => ({ at: timeOf(at), text })) ?? [],
    async restart(handle, { force }) {
      const found = await find(handle);
      const { id, name, status, machine, machineStatus } = found;
      if (status?.phase !== 'running') throw new StrataError(`the back end ${name} does not run: ${status?.why === undefined || status.why === '' ? 'its machine does not' : status.why}`, { code: 'backend.notRunning', kind: 'refused', advice: 'start its machine' });
      const alone = backendAbilities(machineStatus?.engine ?? null).find((one) => one.name.startsWith('restart'));
      if (alone?.able === false && !force) throw new StrataError(`the back end ${name} cannot be restarted alone: ${alone.why}`, { code: 'backend.needsMachine', kind: 'refused', advice: `\`strata backend restart --force ${name}\` restarts machine ${machine?.name ?? ''} too` });
      await backends?.records.update(id, (before) => (before === undefined ? undefined : { ...before, restartToken: newId('operation', layers.dice) }));
      return show(found);
    },
  };
}

function show({ id, name, record, status, machine, machineStatus }: Found): DiskBackend {
  const engine = machineStatus?.engine ?? null;
  return {
    id, name, machine: machine?.name ?? record.machineId, disk: record.disk.serial, engine, kind: 'vhost-user-blk', program: storageDaemon, path: record.disk.path, format: record.disk.format, readOnly: record.disk.readOnly,
    phase: status?.phase ?? 'stopped', why: status?.why ?? '', pid: status?.process?.pid ?? null, restarts: status?.restarts ?? 0, startedAt: timeOrNull(status?.startedAt), abilities: [...backendAbilities(engine)],
  };
}
