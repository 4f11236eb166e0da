/**
 * The uncompressed kernel inside a bzImage. QEMU starts an ELF with a PVH note directly, which saves the guest
 * from decompressing itself under emulation. Layout: the Linux/x86 boot protocol (setup header at 0x1f1). Pure.
 */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { StrataError } from '#base';
import { decompressLz4 } from './decompress-lz4.ts';

const maxOutputLength = 512 * 1024 * 1024;

/** @param image an x86 bzImage, or an Arm64 Image, which is returned as it is. @throws StrataError `guestOs.kernelFormat` */
export function extractKernel(image: Buffer): Buffer {
  if (image.toString('latin1', 56, 60) === 'ARMd') return image;
  if (image.toString('latin1', 0x202, 0x206) !== 'HdrS') throw unknownFormat('the kernel image is neither a bzImage nor an Arm64 Image');
  const setupSectors = image.readUInt8(0x1f1) || 4;
  const start = (setupSectors + 1) * 512 + image.readUInt32LE(0x248);
  const kernel = decompress(image.subarray(start, start + image.readUInt32LE(0x24c)));
  if (kernel.toString('latin1', 1, 4) !== 'ELF') throw unknownFormat('what the kernel image holds is no ELF file');
  return kernel;
}

/** The payload ends with its uncompressed size, which is no part of the packed stream. */
function decompress(payload: Buffer): Buffer {
  const packed = payload.subarray(0, -4);
  const size = payload.readUInt32LE(payload.length - 4);
  if (size > maxOutputLength) throw unknownFormat(`the kernel image says it holds ${size} bytes`);
  const magic = packed.readUInt32BE(0);
  if (magic === 0x02214c18) return decompressLz4(packed, size);
  if (magic === 0x28b52ffd) return zstdDecompressSync(packed, { maxOutputLength });
  if (magic >>> 16 === 0x1f8b) return gunzipSync(payload, { maxOutputLength }); // gzip's own trailer is that size
  throw unknownFormat(`the kernel image is compressed in a way that is not known (${magic.toString(16)})`);
}

function unknownFormat(message: string): StrataError {
  return new StrataError(message, { code: 'guestOs.kernelFormat', kind: 'internal' });
}
