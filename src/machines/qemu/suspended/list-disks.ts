/** The disks of a running QEMU, with their files and places, as QEMU and the kernel say: nothing is remembered of them. */
import { readlink } from 'node:fs/promises';
import { z } from 'zod';
import { StrataError } from '#base';
import type { MachineDisk } from '../../machine.ts';
import { fileNodeName, serialId } from '../drives.ts';
import type { Monitor } from '../qmp/open-monitor.ts';

const nodesSchema = z.array(z.looseObject({ 'node-name': z.string().max(200).optional(), drv: z.string().max(50), ro: z.boolean(), file: z.string().max(65_536) })).max(4000);
const setsSchema = z.array(z.looseObject({ 'fdset-id': z.int(), fds: z.array(z.looseObject({ fd: z.int() })).max(100) })).max(2000);
/** What devices have. */
export const blocksSchema = z.array(z.looseObject({ qdev: z.string().max(200).optional(), inserted: z.looseObject({ 'node-name': z.string().max(200).optional() }).optional() })).max(2000);

export interface RunningDisk {
  readonly disk: MachineDisk;
  readonly scsiId: number;
  /** Names of its nodes, as of its files, the uppermost first. */
  readonly nodes: readonly string[];
}

/** @param pid of QEMU, on the host */
export async function listDisks(monitor: Monitor, pid: number, serials: readonly string[]): Promise<readonly RunningDisk[]> {
  const [nodes, sets, blocks] = await Promise.all([
    monitor.execute('query-named-block-nodes', { flat: true }).then((answer) => nodesSchema.parse(answer)),
    monitor.execute('query-fdsets').then((answer) => setsSchema.parse(answer)),
    monitor.execute('query-block').then((answer) => blocksSchema.parse(answer)),
  ]);
  const disks: RunningDisk[] = [];
  for (const serial of serials) {
    const top = blocks.find((one) => one.qdev === serialId(serial))?.inserted?.['node-name'];
    const names = chainOf(serial, nodes.map((one) => one['node-name'] ?? ''), top);
    const chain = [];
    for (const name of names) {
      const node = nodes.find((one) => one['node-name'] === name);
      const set = /^\/dev\/fdset\/(\d+)$/.exec(nodes.find((one) => one['node-name'] === fileNodeName(name))?.file ?? '')?.[1];
      const fd = sets.find((one) => one['fdset-id'] === Number(set))?.fds[0]?.fd;
      if (node === undefined || fd === undefined) throw lost(serial);
      chain.push({ path: await readlink(`/proc/${pid}/fd/${fd}`), format: node.drv === 'qcow2' ? 'qcow2' as const : 'raw' as const, readOnly: node.ro });
    }
    const [first, ...below] = chain;
    if (first === undefined) throw lost(serial);
    const scsiId = z.int().parse(await monitor.execute('qom-get', { path: `/machine/peripheral/${serialId(serial)}`, property: 'scsi-id' }));
    const backing = below.map(({ path, format }) => ({ path, format }));
    disks.push({ disk: { serial, ...first, ...(backing.length === 0 ? {} : { backing }) }, scsiId, nodes: names });
  }
  return disks.toSorted((a, b) => a.scsiId - b.scsiId);
}

/** The files behind names by which QEMU opened them. @throws StrataError `machine.diskLost` */
export async function pathsOfSets(monitor: Monitor, pid: number, filenames: readonly string[]): Promise<readonly string[]> {
  const sets = setsSchema.parse(await monitor.execute('query-fdsets'));
  return Promise.all(filenames.map((filename) => {
    const set = /^\/dev\/fdset\/(\d+)$/.exec(filename)?.[1];
    const fd = sets.find((one) => one['fdset-id'] === Number(set))?.fds[0]?.fd;
    if (fd === undefined) throw lost(filename);
    return readlink(`/proc/${pid}/fd/${fd}`);
  }));
}

/**
 * From the uppermost node down: overlays `o<n>-`, the newest first, the disk as it was started `n-`, what lay below it then
 * `b<n>-`. What was merged (`o5m1-`) stands above what it replaces: it holds the same, where a daemon died before that was gone. Pure.
 */
export function chainOf(serial: string, names: readonly string[], top: string | undefined): readonly string[] {
  const place = (name: string): { readonly at: number; readonly merged: number } | undefined => {
    const found = /^(?:(n)|o(\d+)|b(\d+))(?:m(\d+))?-(.+)$/.exec(name);
    if (found?.[5] !== serial) return undefined;
    return { at: found[1] === undefined ? Number(found[3] ?? -Number(found[2])) : 0, merged: Number(found[4] ?? 0) };
  };
  const all = names.flatMap((name) => { const found = place(name); return found === undefined ? [] : [{ name, ...found }]; }).toSorted((a, b) => a.at - b.at || b.merged - a.merged);
  const first = all.findIndex((one) => one.name === top);
  return first < 0 ? [] : all.slice(first).map((one) => one.name);
}

function lost(serial: string): StrataError {
  return new StrataError(`QEMU does not say where its disk ${serial} lies`, { code: 'machine.diskLost', kind: 'unavailable' });
}
