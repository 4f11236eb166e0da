/**
 * LZ4 in its legacy frame, as the kernel's build packs kernels (lz4_Frame_format.md, "Legacy frame"): a magic
 * number, then blocks of at most 8 MiB, each behind its packed size. Pure.
 */
import { StrataError } from '#base';

const legacyMagic = 0x184c2102;
const minimumMatch = 4;

/** @param size bytes of the result, known from elsewhere. @throws StrataError `guestOs.kernelFormat` */
export function decompressLz4(packed: Buffer, size: number): Buffer {
  if (packed.readUInt32LE(0) !== legacyMagic) throw broken('wrong magic number');
  const out = Buffer.alloc(size);
  let at = 4;
  let to = 0;
  while (at + 4 <= packed.length && to < size) {
    const length = packed.readUInt32LE(at);
    to = decompressBlock(packed.subarray(at + 4, at + 4 + length), out, to);
    at += 4 + length;
  }
  if (to !== size) throw broken(`${to} bytes instead of ${size}`);
  return out;
}

/** lz4_Block_format.md. @returns where the output ends */
function decompressBlock(block: Buffer, out: Buffer, start: number): number {
  let at = 0;
  let to = start;
  const length = (first: number): number => {
    let total = first;
    if (first < 15) return total;
    for (let more = 255; more === 255; at += 1) {
      more = block[at] ?? 0;
      total += more;
    }
    return total;
  };
  while (at < block.length) {
    const token = block[at] as number;
    at += 1;
    const literals = length(token >> 4);
    if (at + literals > block.length || to + literals > out.length) throw broken('literals run over the end');
    block.copy(out, to, at, at + literals);
    at += literals;
    to += literals;
    if (at >= block.length) break; // the last sequence has literals only
    const distance = block.readUInt16LE(at);
    at += 2;
    const match = length(token & 15) + minimumMatch;
    if (distance === 0 || distance > to || to + match > out.length) throw broken('a match points outside');
    if (distance >= match) out.copyWithin(to, to - distance, to - distance + match);
    else for (let index = 0; index < match; index += 1) out[to + index] = out[to + index - distance] as number;
    to += match;
  }
  return to;
}

function broken(why: string): StrataError {
  return new StrataError(`the LZ4 data is broken: ${why}`, { code: 'guestOs.kernelFormat', kind: 'internal' });
}
