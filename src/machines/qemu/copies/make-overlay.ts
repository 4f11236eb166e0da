/**
 * An empty qcow2 file: all of it is what lies below it, which its opener says and the file does not. Written here, not by
 * a program: nothing of what a guest wrote is read but the size.
 */
import { open, rm } from 'node:fs/promises';
import { StrataError } from '#base';
import type { Layer } from './layers.ts';

const clusterBits = 16;
const cluster = 1 << clusterBits;
const magic = 0x5146_49fb;
const headerBytes = 104;
const refcountBits = 4; // 2 ** 4 bits each
const mostBytes = 2 ** 50;

/** Size of the disk that a file holds. @throws StrataError `machine.badDisk` */
export async function diskBytes({ path, format }: Layer): Promise<number> {
  const file = await open(path, 'r');
  try {
    if (format === 'raw') return (await file.stat()).size;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(32), 0, 32, 0);
    const size = bytesRead === 32 && buffer.readUInt32BE(0) === magic ? buffer.readBigUInt64BE(24) : 0n;
    if (size === 0n || size > BigInt(mostBytes)) throw new StrataError(`the file ${path} is no qcow2 disk`, { code: 'machine.badDisk', kind: 'unavailable' });
    return Number(size);
  } finally {
    await file.close();
  }
}

/** Replaces what lies there. On the disk before it returns, unless it is of a disk that is new at every boot. */
export async function makeOverlay(path: string, bytes: number, { lasting = true } = {}): Promise<void> {
  await rm(path, { force: true });
  const file = await open(path, 'wx', 0o600);
  try {
    await file.write(emptyQcow2(bytes));
    if (lasting) await file.sync();
  } finally {
    await file.close();
  }
}

/** Header, table of reference counts, counts, and the table of tables of clusters, which is empty. Pure. */
export function emptyQcow2(bytes: number): Buffer {
  const size = Math.ceil(bytes / 512) * 512;
  const tables = Math.ceil(size / (cluster * (cluster / 8)));
  const tableClusters = Math.max(1, Math.ceil((tables * 8) / cluster));
  const image = Buffer.alloc((3 + tableClusters) * cluster);
  image.writeUInt32BE(magic, 0);
  image.writeUInt32BE(3, 4);
  image.writeUInt32BE(clusterBits, 20);
  image.writeBigUInt64BE(BigInt(size), 24);
  image.writeUInt32BE(tables, 36);
  image.writeBigUInt64BE(BigInt(3 * cluster), 40);
  image.writeBigUInt64BE(BigInt(cluster), 48);
  image.writeUInt32BE(1, 56);
  image.writeUInt32BE(refcountBits, 96);
  image.writeUInt32BE(headerBytes, 100);
  image.writeBigUInt64BE(BigInt(2 * cluster), cluster);
  for (let at = 0; at < 3 + tableClusters; at += 1) image.writeUInt16BE(1, 2 * cluster + 2 * at);
  return image;
}
