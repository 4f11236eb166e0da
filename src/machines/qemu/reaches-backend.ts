/**
 * Whether QEMU has a line to the back end of a disk. It may have none for ever: where a back end dies while QEMU greets it,
 * QEMU 7.2 clears what it knows of the device before it has noticed the end, and with that what would have it connect
 * again (mended upstream in 9.1, "vhost-user: fix lost reconnect").
 */
import { z } from 'zod';
import { serialId } from './drives.ts';
import type { Monitor } from './qmp/open-monitor.ts';
import { standsStill } from './stands-still.ts';

const statusSchema = z.looseObject({ started: z.boolean(), 'vhost-started': z.boolean() });

/** @returns undefined where the guest's driver has not begun yet, or the machine stands still, when nothing is served */
export async function reachesBackend(monitor: Pick<Monitor, 'execute'>, serial: string): Promise<boolean | undefined> {
  const status = statusSchema.parse(await monitor.execute('x-query-virtio-status', { path: `/machine/peripheral/${serialId(serial)}/virtio-backend` }));
  if (status['vhost-started']) return true;
  return !status.started || await standsStill(monitor) ? undefined : false;
}
