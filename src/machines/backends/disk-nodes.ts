/** The nodes of one disk in its carrier (QEMU or qemu-storage-daemon), as the carrier says: nothing is remembered of them. */
import { z } from 'zod';
import { StrataError } from '#base';
import { fileNodeName, serialId, topNode } from '../qemu/drives.ts';
import type { Monitor } from '../qemu/qmp/open-monitor.ts';
import { blocksSchema, chainOf } from '../qemu/suspended/list-disks.ts';

export interface DiskNode {
  readonly name: string;
  readonly format: 'raw' | 'qcow2';
  /** By which the carrier opened it. */
  readonly filename: string;
  readonly bytes: number;
  readonly readOnly: boolean;
}

const nodesSchema = z.array(z.looseObject({ 'node-name': z.string().max(200).optional(), drv: z.string().max(50), ro: z.boolean(), file: z.string().max(65_536), image: z.looseObject({ 'virtual-size': z.int() }) })).max(4000);

/** From what the guest writes to, be it the disk or what a snapshot put on top of it, down; what was made and not put there yet is left out. @throws StrataError `disk.notFound` */
export async function nodesOfDisk(monitor: Monitor, serial: string): Promise<readonly [DiskNode, ...DiskNode[]]> {
  const [all, blocks] = await Promise.all([
    monitor.execute('query-named-block-nodes', { flat: true }).then((answer) => nodesSchema.parse(answer)),
    monitor.execute('query-block').then((answer) => blocksSchema.parse(answer)), // qemu-storage-daemon has no devices
  ]);
  const named = new Map(all.map((one) => [one['node-name'] ?? '', one]));
  const names = [...named.keys()];
  const [top, ...below] = chainOf(serial, names, blocks.find((one) => one.qdev === serialId(serial))?.inserted?.['node-name'] ?? topNode(serial, names)).flatMap((name): DiskNode[] => {
    const node = named.get(name);
    return node === undefined ? [] : [{ name, format: node.drv === 'qcow2' ? 'qcow2' : 'raw', filename: named.get(fileNodeName(name))?.file ?? '', bytes: node.image['virtual-size'], readOnly: node.ro }];
  });
  if (top === undefined) throw new StrataError(`there is no disk ${serial}`, { code: 'disk.notFound', kind: 'notFound' });
  return [top, ...below];
}

const graphSchema = z.looseObject({
  nodes: z.array(z.looseObject({ id: z.int(), name: z.string().max(200) })).max(10_000),
  edges: z.array(z.looseObject({ parent: z.int(), child: z.int(), name: z.string().max(200) })).max(20_000),
});

/** Whether one node lies right below the other. Nothing else that QEMU says of all nodes tells that, without being long. */
export async function liesOn(monitor: Monitor, node: string, below: string): Promise<boolean> {
  const { nodes, edges } = graphSchema.parse(await monitor.execute('x-debug-query-block-graph'));
  const idOf = (name: string) => nodes.find((one) => one.name === name)?.id;
  return edges.some((one) => one.name === 'backing' && one.parent === idOf(node) && one.child === idOf(below));
}
