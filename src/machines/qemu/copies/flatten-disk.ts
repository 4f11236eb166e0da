/**
 * One file with all that a disk's layers hold together, for a clone that shares nothing. A VMM that was captured may have
 * written the layers: each is looked at first, so that none leads the program, which has our rights, to another file.
 */
import { open, rm } from 'node:fs/promises';
import { runProcess, StrataError } from '#base';
import type { Layer } from './layers.ts';

const flattenLimitMs = 3_600_000;
/** Compressed clusters of another kind and dirty counts are harmless; a data file elsewhere is not. */
const harmlessFeatures = 0b1_1011n; // dirty, corrupt, compression type, extended L2

/** @throws StrataError `machine.badDisk` */
export async function flatten(chain: readonly Layer[], path: string, format: Layer['format'] = 'qcow2', signal?: AbortSignal): Promise<void> {
  for (const layer of chain) await refuseLeading(layer);
  await rm(path, { force: true });
  await runProcess(['qemu-img', 'convert', '-U', '-O', format, '--', `json:${JSON.stringify(nodeOf(chain, 0))}`, path], { timeoutMs: flattenLimitMs, ...(signal === undefined ? {} : { signal }) });
  const file = await open(path, 'r+');
  try {
    await file.chmod(0o600);
    await file.sync();
  } finally { await file.close(); }
}

interface Node { readonly driver: string; readonly file: { readonly driver: 'file'; readonly filename: string }; readonly backing?: Node | null }

function nodeOf(chain: readonly Layer[], at: number): Node | null {
  const layer = chain[at];
  if (layer === undefined) return null;
  return { driver: layer.format, file: { driver: 'file', filename: layer.path }, ...(layer.format === 'qcow2' ? { backing: nodeOf(chain, at + 1) } : {}) };
}

/** A qcow2 file may say that its data, or what lies below it, is in another file. */
export async function refuseLeading({ path, format }: Layer): Promise<void> {
  if (format === 'raw') return;
  const file = await open(path, 'r');
  try {
    // A pull leaves the place of a name there, and no name.
    const { buffer } = await file.read(Buffer.alloc(80), 0, 80, 0);
    const version = buffer.readUInt32BE(4);
    const features = version >= 3 ? buffer.readBigUInt64BE(72) : 0n;
    const good = buffer.readUInt32BE(0) === 0x5146_49fb && (version === 2 || version === 3) && (buffer.readBigUInt64BE(8) === 0n || buffer.readUInt32BE(16) === 0) && (features & ~harmlessFeatures) === 0n;
    if (!good) throw new StrataError(`the disk ${path} leads to other files, or is no qcow2 disk`, { code: 'machine.badDisk', kind: 'refused', advice: 'make a linked clone, or restore an older snapshot' });
  } finally {
    await file.close();
  }
}
