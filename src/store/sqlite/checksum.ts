/** Checksum of a record: finds flipped bits in values, which SQLite's own check does not see. */
import { crc32 } from 'node:zlib';

/** CRC-32 over everything a record says. */
export function checksumOf(key: string, json: string, revision: number, created: number): number {
  return crc32(`${key}\n${revision}\n${created}\n${json}`);
}
