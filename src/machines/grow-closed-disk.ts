/** Makes a disk longer that nobody has open: of its files, the one that is written. */
import { open } from 'node:fs/promises';
import { runProcess } from '#base';
import { cannotShrink } from './backends/disk-operations.ts';
import { refuseLeading } from './qemu/copies/flatten-disk.ts';
import type { Layer } from './qemu/copies/layers.ts';
import { diskBytes } from './qemu/copies/make-overlay.ts';

/** Twice is as once. What is new reads as zeroes. @throws StrataError `disk.cannotShrink`, `machine.badDisk` */
export async function growClosedDisk(serial: string, [upper]: readonly [Layer, ...Layer[]], bytes: number): Promise<void> {
  await refuseLeading(upper); // a VMM that was captured may have written it, and what makes it longer has our rights
  const now = await diskBytes(upper);
  if (bytes < now) throw cannotShrink(serial, now, bytes);
  if (bytes === now) return;
  if (upper.format === 'qcow2') await runProcess(['qemu-img', 'resize', '-q', '-f', 'qcow2', '--', upper.path, String(bytes)], { timeoutMs: 60_000 });
  const file = await open(upper.path, 'r+');
  try {
    if (upper.format === 'raw') await file.truncate(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}
