/**
 * The uncompressed kernel inside a bzImage. QEMU starts an ELF with a PVH note directly, which saves the guest
 * from decompressing itself under emulation. Layout: the Linux/x86 boot protocol (setup header at 0x1f1).
 */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { runProcess, StrataError } from '#base';

/** @param image an x86 bzImage, or an Arm64 Image, which is returned as it is. */
export async function extractKernel(image: Buffer, scratchFile: (bytes: Buffer) => Promise<string>): Promise<Buffer> {
  if (image.toString('latin1', 56, 60) === 'ARMd') return image;
  if (image.toString('latin1', 0x202, 0x206) !== 'HdrS') throw new StrataError('the kernel image is neither a bzImage nor an Arm64 Image', { code: 'guestOs.kernelFormat', kind: 'internal' });
  const setupSectors = image.readUInt8(0x1f1) || 4;
  const start = (setupSectors + 1) * 512 + image.readUInt32LE(0x248);
  const payload = image.subarray(start, start + image.readUInt32LE(0x24c));
  const kernel = await decompress(payload, scratchFile);
  if (kernel.toString('latin1', 1, 4) !== 'ELF') throw new StrataError('what the kernel image holds is no ELF file', { code: 'guestOs.kernelFormat', kind: 'internal' });
  return kernel;
}

async function decompress(payload: Buffer, scratchFile: (bytes: Buffer) => Promise<string>): Promise<Buffer> {
  const magic = payload.readUInt32BE(0);
  if (magic === 0x28b52ffd) return zstdDecompressSync(payload.subarray(0, -4), { maxOutputLength: 512 * 1024 * 1024 });
  if (magic >>> 16 === 0x1f8b) return gunzipSync(payload, { maxOutputLength: 512 * 1024 * 1024 });
  if (magic === 0xfd377a58) {
    // The payload ends with its uncompressed size, which is no part of the xz stream.
    const path = await scratchFile(payload.subarray(0, -4));
    await runProcess(['xz', '--decompress', '--force', '--suffix=.xz', '--', `${path}.xz`], { timeoutMs: 120_000 });
    const { readFile } = await import('node:fs/promises');
    return readFile(path);
  }
  throw new StrataError(`the kernel image is compressed in a way that is not known (${magic.toString(16)})`, { code: 'guestOs.kernelFormat', kind: 'internal' });
}
