/** The bodies of operations that copy machines, also as they are run again after the daemon died in the middle: every id is chosen before. */
import { asStrataError, waitUntil } from '#base';
import type { MachineSpec, MachineStatus } from '#machines';
import { macOfAddress } from '#pool';
import type { OperationBody, OperationRun } from '#reconcile';
import type { Layers } from './layers.ts';

/** Plain JSON: kept with the operation. */
export interface SnapshotInput { readonly machineId: string; readonly snapshotId: string; readonly name: string; readonly memory: boolean }
export interface RestoreInput { readonly machineId: string; readonly snapshotId: string }
export interface CloneInput {
  readonly machineId: string;
  readonly cloneId: string;
  readonly name: string;
  readonly snapshotId: string;
  /** The snapshot is made for this, and goes with it. */
  readonly passing: boolean;
  readonly memory: boolean;
  readonly full: boolean;
  readonly start: boolean;
}

/** Until a machine that goes on answers; one that must boot under emulation on a busy host takes its time. */
const answerLimitMs = 180_000;
const [removeAttempts, removeAgainMs] = [5, 500];

export function snapshotBody({ machines }: Layers, { machineId, snapshotId, name, memory }: SnapshotInput): OperationBody {
  return async (run) => {
    await undone(() => machines.copies.remove(machineId, snapshotId), run, () => run.step(`take the snapshot ${name}${memory ? ', with memory' : ''}`, () => machines.copies.take(machineId, { id: snapshotId, name, memory, passing: false })));
    return { snapshot: snapshotId, name };
  };
}

export function restoreBody(layers: Layers, { machineId, snapshotId }: RestoreInput): OperationBody {
  const { copies } = layers.machines;
  return async (run) => {
    const { memory = false, name = '' } = (await copies.list(machineId)).find((one) => one.id === snapshotId) ?? {};
    await run.step('bring disks and memory back', () => copies.restore(machineId, snapshotId));
    const spec = (await layers.machines.specs.get(machineId))?.value;
    if (spec?.wanted !== 'running') return;
    const status = await run.step('let it go on', () => answers(layers, machineId, run.signal));
    if (memory) tellBoot(run, spec.name, status, `snapshot ${name}`);
  };
}

export function cloneBody(layers: Layers, input: CloneInput): OperationBody {
  const { machineId, cloneId, snapshotId, memory, passing, name, full } = input;
  const { copies, specs } = layers.machines;
  return async (run) => {
    const remove = () => (passing ? removePassing(layers, input, () => copies.remove(machineId, snapshotId)) : Promise.resolve());
    await undone(async () => {
      await copies.discard(machineId, cloneId);
      await remove();
    }, run, async () => {
      if (await specs.get(cloneId) !== undefined) return; // by a daemon that ended right after
      if (passing) await run.step(memory ? 'copy its memory, and freeze its disks' : 'freeze its disks', () => copies.take(machineId, { id: snapshotId, name, memory, passing, ...(memory && input.start ? { goesOnAs: cloneId } : {}) }));
      run.progress(0.4);
      await run.step(`make machine ${name}`, () => makeClone(layers, input, run.signal));
    });
    await remove();
    run.progress(0.7);
    if (input.start) {
      const status = await run.step(full || !memory ? 'start it' : 'let it go on', () => answers(layers, cloneId, run.signal));
      if (memory) tellBoot(run, name, status, 'the fork');
    }
    return { machine: cloneId, name };
  };
}

async function makeClone({ machines, addresses, clock }: Layers, input: CloneInput, signal: AbortSignal): Promise<void> {
  const source = await machines.specs.get(input.machineId);
  if (source === undefined) return machines.copies.remove(input.machineId, input.snapshotId); // refused as unknown
  const { restartToken: _restartToken, from: _from, ...kept } = source.value;
  const begun: MachineSpec = { ...kept, id: input.cloneId, name: input.name, owner: null, createdAt: clock.now(), generation: 1, wanted: input.start ? 'running' : 'stopped' };
  const disks = await machines.copies.clone(input.machineId, input.snapshotId, begun, { memory: input.memory, full: input.full });
  signal.throwIfAborted(); // from here on it is a machine, and no more taken back
  const specAt = (address: string): MachineSpec => ({ ...begun, disks: [...disks], network: begun.network === null ? null : { mac: macOfAddress(address), address } });
  await addresses.allocate('endpoint', `machine/${input.cloneId}`, (address) => [machines.specs.putWrite(input.cloneId, specAt(address))]);
}

/** Nobody would see it, or remove it, where it stayed. */
export async function removePassing({ log, clock }: Layers, { machineId, snapshotId }: Pick<CloneInput, 'machineId' | 'snapshotId'>, remove: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await remove();
    } catch (thrown) {
      const error = asStrataError(thrown, 'removing a passing snapshot');
      if (error.kind === 'notFound') return; // its machine went meanwhile, and it with that
      if (error.code === 'machine.engineCannot') return; // there never was one
      if (attempt === removeAttempts || error.code === 'store.closed') throw error;
      log.warn({ machineId, snapshotId, error: error.message }, 'a passing snapshot could not be removed yet');
      await clock.wait(removeAgainMs);
    }
  }
}

/** Where the work fails, or is cancelled, what it made is taken back; where the daemon ends it is gone on with. */
export async function undone(undo: () => Promise<void>, run: OperationRun, work: () => Promise<void>): Promise<void> {
  try { await work(); } catch (thrown) {
    if (!isInterrupted(run.signal)) await undo();
    throw thrown;
  }
}

const isInterrupted = (signal: AbortSignal): boolean => signal.aborted && (signal.reason as { readonly code?: unknown }).code !== 'operation.cancelled';

/** Whoever asked for its memory is told where it has none of it; what is first is kept where the reason is long. */
function tellBoot(run: OperationRun, name: string, { startedBy }: MachineStatus, from: string): void {
  if (startedBy?.way === 'snapshot') return;
  run.warn(`${name} booted anew instead of going on: what was in its memory is lost, its disks are those of ${from}. Why: ${startedBy?.why || 'it ended as soon as it had gone on'}`);
}

/** As what it runs when it answers. */
export async function answers({ machines, clock }: Layers, machineId: string, signal: AbortSignal): Promise<MachineStatus> {
  const running = async (): Promise<MachineStatus | undefined> => {
    const status = (await machines.statuses.get(machineId))?.value;
    return status?.phase === 'running' ? status : undefined;
  };
  return waitUntil(async () => {
    if (await running() === undefined) return undefined;
    try { await machines.machines.agent(machineId, { timeoutMs: answerLimitMs }); } catch (thrown) {
      if (asStrataError(thrown, 'its agent').code === 'machine.notRunning') return undefined; // it ended, and may be started again
      throw thrown;
    }
    return running();
  }, { what: 'the machine answers', limitMs: answerLimitMs, everyMs: 10, clock, signal });
}
