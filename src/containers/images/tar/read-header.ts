/** One 512-byte header block of a tar archive (POSIX ustar, GNU and old V7), checked field by field. */
import { tarTypes, type TarType } from './tar-entry.ts';

export const blockSize = 512;

/** What is wrong with an archive; the caller says in which image and layer. */
export class TarProblem extends Error {
  readonly entry: string;
  constructor(message: string, entry = '') {
    super(message);
    this.entry = entry;
  }
}

export interface TarHeader {
  readonly path: string;
  /** `x` and `g` are pax headers, `L` and `K` GNU long names. */
  readonly type: TarType | 'x' | 'g' | 'L' | 'K';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly linkTarget: string;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

/** @throws TarProblem for a wrong checksum, an unknown type or a number out of range */
export function readHeader(block: Buffer): TarHeader {
  if (checksum(block) !== octal(block, 148, 8)) throw new TarProblem('a header has a wrong checksum: no tar archive, or a damaged one');
  const ustar = block.toString('latin1', 257, 262) === 'ustar';
  const posix = ustar && block[262] === 0;
  const prefix = posix ? text(block, 345, 155) : '';
  const name = text(block, 0, 100);
  const path = prefix === '' ? name : `${prefix}/${name}`;
  const type = typeOf(String.fromCharCode(block[156] as number), path);
  const device = ustar && (type === 'character' || type === 'block');
  return {
    path, type,
    mode: number(block, 100, 8, path) & 0o7777, uid: number(block, 108, 8, path), gid: number(block, 116, 8, path),
    size: number(block, 124, 12, path), mtime: number(block, 136, 12, path, true), linkTarget: text(block, 157, 100),
    deviceMajor: device ? number(block, 329, 8, path) : 0, deviceMinor: device ? number(block, 337, 8, path) : 0,
  };
}

function typeOf(flag: string, path: string): TarHeader['type'] {
  if (flag === '\0' || flag === '0' || flag === '7') return path.endsWith('/') && flag !== '7' ? 'directory' : 'file';
  if (flag === 'x' || flag === 'g' || flag === 'L' || flag === 'K') return flag;
  const type = flag >= '1' && flag <= '6' ? tarTypes[Number(flag)] : undefined;
  if (type === undefined) throw new TarProblem(`entry type ${JSON.stringify(flag)} is not supported${flag === 'S' ? ' (sparse file)' : ''}`, path);
  return type;
}

function checksum(block: Buffer): number {
  let sum = 8 * 32;
  for (let at = 0; at < blockSize; at += 1) if (at < 148 || at >= 156) sum += block[at] as number;
  return sum;
}

function text(block: Buffer, at: number, length: number): string {
  const end = block.indexOf(0, at);
  return block.toString('latin1', at, end < 0 || end > at + length ? at + length : end);
}

function octal(block: Buffer, at: number, length: number): number {
  const digits = text(block, at, length).trim();
  if (digits === '') return 0;
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}

/** An octal number, or base 256 as GNU tar writes large ones. */
function number(block: Buffer, at: number, length: number, path: string, signed = false): number {
  const first = block[at] as number;
  const value = first >= 0x80 ? binary(block.subarray(at, at + length)) : octal(block, at, length);
  if (!Number.isSafeInteger(value) || (value < 0 && !signed)) throw new TarProblem('a number in its header is out of range', path);
  return value;
}

function binary(field: Buffer): number {
  let value = BigInt(field[0] === 0xff ? -1 : (field[0] as number) & 0x7f);
  for (const byte of field.subarray(1)) value = (value << 8n) | BigInt(byte);
  return Number(value);
}
