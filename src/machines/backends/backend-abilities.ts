/** What can be done with a disk that a back end serves, and why not: one table, measured with QEMU 7.2 and UML 6.1. Pure. */
import type { EngineName } from '../machine.ts';

export interface Ability { readonly name: string; readonly able: boolean; readonly why: string }

/** @param engine of the machine's VMM; null: not chosen yet */
export function backendAbilities(engine: EngineName | null): readonly Ability[] {
  return [
    ...(engine === null ? [] : [restart(engine)]),
    { name: 'grow', able: true, why: 'at once; the guest has the new size from its next start, since qemu-storage-daemon 7.2 tells nobody' },
    { name: 'copy while the guest writes', able: true, why: 'the copy is the disk of one moment' },
    { name: 'snapshot while the guest writes', able: true, why: 'at one moment; to be put back its machine is ended, and started again' },
    { name: 'clone while the guest writes', able: true, why: 'for a new machine of any engine, sharing what was written until then, or with a file of its own' },
    { name: 'several requests at once', able: false, why: 'qemu-storage-daemon keeps no list of requests it has begun, so that after its death only one at a time is lost to nobody' },
    { name: 'plug while the machine runs', able: false, why: 'it is plugged in when the machine starts' },
    { name: 'start as a clone of a template', able: false, why: 'it reads and writes the guest\'s memory, which must be shared; that of a clone is not' },
    { name: 'suspend', able: false, why: 'what it has begun is not part of the machine\'s kept memory' },
  ];
}

function restart(engine: EngineName): Ability {
  const name = 'restart under a running machine';
  if (engine === 'qemu') return { name, able: true, why: 'the guest\'s reads and writes wait until it serves again, and none is lost; where it dies again while QEMU greets it, the machine is restarted' };
  if (engine === 'uml') return { name, able: false, why: 'a UML guest gives a device up when its connection is lost; the machine is restarted' };
  return { name, able: false, why: `the engine ${engine} knows no back ends` };
}
