/** Where the files of one UML machine lie on the host, and where things lie inside its jail. */
import type { Instance } from '#base';
import { vmmPlaces, type VmmPlaces } from '../vmm/vmm-places.ts';

export const umlPlaces = (instance: Instance, id: string): VmmPlaces => vmmPlaces(instance, id, { run: 'u', state: 'uml' });

/** Inside the jail. UML keeps its guest's memory in the first tmpfs it knows of. */
export const jail = { kernel: '/kernel', initramfs: '/initramfs', memory: '/dev/shm', mconsole: '/dev/shm/m/mconsole', disks: '/disks' } as const;
