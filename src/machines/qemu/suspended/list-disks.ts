/** The disks of a running QEMU, with their files and places, as QEMU and the kernel say: nothing is remembered of them. */
import { readlink } from 'node:fs/promises';
import { z } from 'zod';
import { StrataError } from '#base';
import type { MachineDisk } from '../../machine.ts';
import { nodeName, serialId } from '../drives.ts';
import type { Monitor } from '../qmp/open-monitor.ts';

const nodesSchema = z.array(z.looseObject({ 'node-name': z.string().max(200).optional(), drv: z.string().max(50), ro: z.boolean(), file: z.string().max(4096) })).max(4000);
const setsSchema = z.array(z.looseObject({ 'fdset-id': z.int(), fds: z.array(z.looseObject({ fd: z.int() })).max(100) })).max(2000);

/** @param pid of QEMU, on the host */
export async function listDisks(monitor: Monitor, pid: number, serials: readonly string[]): Promise<readonly { readonly disk: MachineDisk; readonly scsiId: number }[]> {
  const [nodes, sets] = [nodesSchema.parse(await monitor.execute('query-named-block-nodes', { flat: true })), setsSchema.parse(await monitor.execute('query-fdsets'))];
  const disks = [];
  for (const serial of serials) {
    const node = nodes.find((one) => one['node-name'] === nodeName(serial));
    const set = /^\/dev\/fdset\/(\d+)$/.exec(nodes.find((one) => one['node-name'] === `f-${serial}`)?.file ?? '')?.[1];
    const fd = sets.find((one) => one['fdset-id'] === Number(set))?.fds[0]?.fd;
    if (node === undefined || fd === undefined) throw new StrataError(`QEMU does not say where its disk ${serial} lies`, { code: 'machine.suspendFailed', kind: 'unavailable' });
    const path = await readlink(`/proc/${pid}/fd/${fd}`);
    const scsiId = z.int().parse(await monitor.execute('qom-get', { path: `/machine/peripheral/${serialId(serial)}`, property: 'scsi-id' }));
    disks.push({ disk: { serial, path, format: node.drv === 'qcow2' ? 'qcow2' as const : 'raw' as const, readOnly: node.ro }, scsiId });
  }
  return disks.toSorted((a, b) => a.scsiId - b.scsiId);
}
