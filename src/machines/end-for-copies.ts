/** Whether a machine's VMM runs, and its end where disks are put back to what they were. */
import { asStrataError, StrataError } from '#base';
import type { MachineSpec } from './machine.ts';
import type { MachineRecorder } from './machine-recorder.ts';
import type { MachineSessions } from './machine-sessions.ts';
import * as states from './machine-states.ts';

export interface EndForCopies {
  /** An end that nobody saw is recorded. @throws `machine.unreachable` */
  runs(machineId: string, spec: MachineSpec): Promise<boolean>;
  /** In the machine's turn. @throws `machine.unreachable` */
  end(machineId: string, spec: MachineSpec): Promise<void>;
}

export function endForCopies({ recorder, sessions }: { readonly recorder: MachineRecorder; readonly sessions: MachineSessions }): EndForCopies {
  async function runs(machineId: string, spec: MachineSpec): Promise<boolean> {
    const vmm = await sessions.look(machineId, (await recorder.read(machineId)).run);
    if (vmm.state === 'unknown') throw new StrataError(`machine ${spec.name} cannot be reached: ${vmm.why}`, { code: 'machine.unreachable', kind: 'unavailable', advice: `\`strata machine inspect ${spec.name}\` tells more` });
    return vmm.state === 'running';
  }
  async function end(machineId: string, spec: MachineSpec): Promise<void> {
    const session = sessions.get(machineId);
    if (session === undefined || !(await runs(machineId, spec))) return;
    await recorder.change(machineId, (before) => states.stopping(before, 'a snapshot is being restored'));
    await session.machine.kill().catch(async (thrown: unknown) => {
      const error = asStrataError(thrown, `ending machine ${spec.name}`);
      await recorder.change(machineId, (before) => states.goesOn(before, error.message)); // it runs on
      throw error;
    });
    await session.machine.exited;
    if (await runs(machineId, spec)) throw new StrataError(`machine ${spec.name} did not end`, { code: 'machine.unreachable', kind: 'unavailable' });
  }

  return { runs, end };
}
