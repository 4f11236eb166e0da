/** Where the files of one QEMU machine lie. */
import { join } from 'node:path';
import type { Instance } from '#base';
import { vmmPlaces, type VmmPlaces } from '../vmm/vmm-places.ts';

export interface MachinePlaces extends VmmPlaces {
  readonly monitor: string;
  /** A second monitor, over which the launcher hands disks in. */
  readonly passing: string;
}

export function machinePlaces(instance: Instance, id: string): MachinePlaces {
  const places = vmmPlaces(instance, id, { run: 'q', state: 'qemu' });
  return { ...places, monitor: join(places.runFolder, 'm'), passing: join(places.runFolder, 'p') };
}
