/**
 * The record of a volume: an ext4 disk that belongs to a service's data. It outlives containers and
 * machines, and goes only when its record is deleted on purpose (`down -v`).
 */
import { join } from 'node:path';
import { z } from 'zod';
import type { Instance } from '#base';
import type { MachineDisk } from '#machines';

export const volumeSchema = z.strictObject({
  id: z.string(),
  name: z.string().describe('`<app>_<name in the file>`, as Compose names it'),
  appId: z.string().describe('of the app that made it; it may be gone since'),
  appName: z.string().describe('whose data it is: an app of that name finds it again after `down`'),
  key: z.string().describe('name in the Compose file'),
  sizeBytes: z.int(),
  createdAt: z.int(),
});
export type Volume = z.infer<typeof volumeSchema>;

export const volumeKey = (id: string): string => `volume/${id}`;

/** Where the volume's disk lies on the host; by id, never by name. */
export const volumePath = (instance: Instance, id: string): string => join(instance.stateDir, 'volumes', `${id}.raw`);

/** The disk to plug into a machine; the serial is the volume's id. */
export const volumeDisk = (instance: Instance, id: string): MachineDisk => ({ serial: id, path: volumePath(instance, id), format: 'raw', readOnly: false });

/** Serial of an image's disk: the first 15 hex digits of its digest (60 bits; one machine has few images). */
export const imageSerial = (digest: string): string => `img-${digest.replace(/^sha256:/, '').slice(0, 15)}`;
