/**
 * QEMU's command lines of a template and of a clone of it, and what is plugged into a clone once it runs. Pure. The
 * device layouts are one (template-shape.ts); nothing of a single machine is in it.
 */
import type { VmmDescriptor } from '../../launcher/index.ts';
import type { MachineSpec } from '../../machine.ts';
import { addDisk, checkedMac, commonDevices, descriptorList, devicesAlone, disksAtStart, opening, qemuProgram, type VmmCommand, type VmmFacts } from '../command-line.ts';
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
  /** Card and disks, in order, when it runs. */
  readonly plugs: readonly MonitorCommand[];
}

/**
 * @param holder socket of the template's holder
 * @param tscKhz of the host's time-stamp counter
 */
export function templateCommand(shape: TemplateShape, name: string, holder: string, tscKhz?: number): TemplateCommand {
  const { descriptors, add } = descriptorList();
  const memory = add({ kind: 'template-memory', path: holder });
  const state = add({ kind: 'template-state', path: holder });
  const devices = commonDevices(add);
  const argv = [...opening(shape.architecture, name), ...shapeArguments(shape, { descriptor: memory, share: true }, devices, bootWords(shape, tscKhz)), ...devicesAlone, '-add-fd', `fd=${state},set=${state}`];
  return { program: qemuProgram(shape.architecture), argv, descriptors, stateFile: `/dev/fdset/${state}` };
}

export function cloneCommand(spec: MachineSpec, facts: VmmFacts, shape: TemplateShape, holder: string): CloneCommand {
  const { descriptors, add } = descriptorList();
  const memory = add({ kind: 'sealed-memory', path: holder });
  const state = add({ kind: 'sealed-state', path: holder });
  const devices = commonDevices(add);
  const argv = [...opening(spec.architecture, spec.id), ...shapeArguments(shape, { descriptor: memory, share: false }, devices, []), ...devicesAlone, '-no-reboot', '-S', '-incoming', 'defer'];
  const card = plugCard(spec, facts, add);
  const disks = disksAtStart(spec, facts).flatMap((disk): MonitorCommand[] => {
    const { node, sets } = addDisk(disk, add);
    argv.push(...sets);
    return [{ command: 'blockdev-add', parameters: node }, { command: 'device_add', parameters: deviceArguments(disk) }];
  });
  return { program: qemuProgram(spec.architecture), argv, descriptors, state, plugs: [...card, ...disks] };
}

function plugCard(spec: MachineSpec, facts: VmmFacts, add: (one: VmmDescriptor) => number): MonitorCommand[] {
  if (facts.tap === null || spec.network === null) return [];
  return [
    { command: 'netdev_add', parameters: { type: 'tap', id: 'net', fd: String(add({ kind: 'tap', name: facts.tap })), vhost: false } },
    { command: 'device_add', parameters: { driver: 'virtio-net-pci', id: 'card', bus: cardPort, netdev: 'net', mac: checkedMac(spec.network.mac), romfile: '' } },
  ];
}
