/**
 * QEMU's command lines of a template and of a clone of it, and what is plugged into a clone once it runs. Pure. The
 * device layouts are one (template-shape.ts); nothing of a single machine is in it.
 */
import type { MachineSpec } from '../../machine.ts';
import { firstDescriptor } from '../../launcher/index.ts';
import { addDisk, agentSocketName, cardArguments, commonDevices, descriptorList, devicesAlone, diskArguments, opening, qemuProgram, scratchDisk, type AddDescriptor, type VmmCommand, type VmmFacts } from '../command-line.ts';
import { deviceArguments } from '../drives.ts';
import { bootWords, cardPort, shapeArguments, type TemplateShape } from './template-shape.ts';

export interface MonitorCommand { readonly command: string; readonly parameters: Readonly<Record<string, unknown>> }

export interface TemplateCommand extends VmmCommand {
  /** What QEMU is to write its devices' state to. */
  readonly stateFile: string;
}

export interface CloneCommand extends VmmCommand {
  /** The descriptor it reads its device state from. */
  readonly state: number;
  /** Further disks, in order, when it runs. */
  readonly plugs: readonly MonitorCommand[];
}

/** What a template's machine has beside its holder. */
export type TemplateFacts = Pick<VmmFacts, 'tap' | 'scratch' | 'tscKhz'>;

/** Its card's; each clone's guest takes another before it brings the card up. */
export const templateMac = '02:00:00:00:00:02';

/** @param holder socket of the template's holder */
export function templateCommand(shape: TemplateShape, name: string, holder: string, facts: TemplateFacts): TemplateCommand {
  const { descriptors, add } = descriptorList();
  const memory = add({ kind: 'template-memory', path: holder });
  const state = add({ kind: 'template-state', path: holder });
  const devices = commonDevices(add);
  const argv = [...opening(shape.architecture, name), ...shapeArguments(shape, { descriptor: memory, share: true }, devices, bootWords(shape, facts.tscKhz)), ...devicesAlone, '-add-fd', `fd=${state},set=${state}`, ...cardAndScratch(add, shape, facts, templateMac)];
  return { program: qemuProgram(shape.architecture), argv, descriptors, stateFile: `/dev/fdset/${state}` };
}

export function cloneCommand(spec: MachineSpec, facts: VmmFacts, shape: TemplateShape, holder: string): CloneCommand {
  const { descriptors, add } = descriptorList();
  const memory = add({ kind: 'sealed-memory', path: holder });
  const state = add({ kind: 'sealed-state', path: holder });
  const devices = commonDevices(add);
  const argv = [...opening(spec.architecture, spec.id), ...shapeArguments(shape, { descriptor: memory, share: false }, devices, []), ...devicesAlone, ...cardAndScratch(add, shape, facts, spec.network?.mac ?? templateMac), '-no-reboot', '-S', '-incoming', 'defer'];
  const plugs = spec.disks.flatMap((disk): MonitorCommand[] => {
    const { node, sets } = addDisk(disk, add);
    argv.push(...sets);
    return [{ command: 'blockdev-add', parameters: node }, { command: 'device_add', parameters: deviceArguments(disk) }];
  });
  return { program: qemuProgram(spec.architecture), argv, descriptors, state, plugs };
}

export interface ZygoteCommand extends VmmCommand {
  /** The descriptor it reads its device state from. */
  readonly state: number;
  /** The descriptor on which it listens for the line to its agent. */
  readonly line: number;
}

/** Of a zygote's descriptors, how many its copies keep: memory and state. The others each copy has of its own. */
export const heldByZygote = 2;

/** Copies write their machine's id in its place: it is as long as the longest. */
const zygoteName = 'zygote'.padEnd(40, '-');

/** A clone that is in no jail and without QEMU's filter, for no machine. */
export function zygoteCommand(shape: TemplateShape, facts: TemplateFacts, holder: string): ZygoteCommand {
  const { descriptors, add } = descriptorList();
  const memory = add({ kind: 'sealed-memory', path: holder });
  const state = add({ kind: 'sealed-state', path: holder });
  const devices = commonDevices(add);
  const argv = [...opening(shape.architecture, zygoteName, false), ...shapeArguments(shape, { descriptor: memory, share: false, folder: '/proc/self/fd' }, devices, []), ...devicesAlone, ...cardAndScratch(add, shape, facts, templateMac), '-no-reboot', '-S', '-incoming', 'defer'];
  const line = descriptors.findIndex((one) => one.kind === 'listen' && one.name === agentSocketName) + firstDescriptor;
  return { program: qemuProgram(shape.architecture), argv, descriptors, state, line };
}

/** In the zygote's order. */
export const copyDescriptors = (shape: TemplateShape, facts: TemplateFacts, holder: string): VmmCommand['descriptors'] => zygoteCommand(shape, facts, holder).descriptors.slice(heldByZygote);

/** Plugged in later they would cost a clone more than all else it does: the guest takes 0.2 s to find a card. */
function cardAndScratch(add: AddDescriptor, shape: TemplateShape, { tap, scratch }: TemplateFacts, mac: string): string[] {
  return [...(shape.card && tap !== null ? cardArguments(add, tap, mac, cardPort) : []), ...(shape.scratchMiB > 0 && scratch !== null ? diskArguments(add, scratchDisk(scratch)) : [])];
}
