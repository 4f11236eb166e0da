/** Writes headers of a tar archive: ustar, with a pax header in front where ustar has no room. */
import { blockSize } from './read-header.ts';
import { tarTypes, type TarEntry } from './tar-entry.ts';

/** Two empty blocks end an archive. */
export const tarEnd: Buffer = Buffer.alloc(2 * blockSize);

/** Bytes that fill the last block of a content. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((blockSize - (size % blockSize)) % blockSize);
}

/** The header blocks of an entry; its content and `tarPadding(size)` follow. */
export function tarHeader(entry: TarEntry): Buffer {
  const pax = paxRecords(entry);
  const header = ustarBlock(entry, String(tarTypes.indexOf(entry.type)), entry.size);
  if (pax.length === 0) return header;
  const body = Buffer.concat(pax);
  const paxHeader = ustarBlock({ ...entry, path: 'pax', linkTarget: '', mode: 0o644, uid: 0, gid: 0, mtime: 0, deviceMajor: 0, deviceMinor: 0 }, 'x', body.length);
  return Buffer.concat([paxHeader, body, tarPadding(body.length), header]);
}

const maxOctal = { 8: 0o7777777, 12: 0o77777777777 } as const;

function paxRecords(entry: TarEntry): Buffer[] {
  const records: Buffer[] = [];
  const add = (key: string, value: Buffer | string | number) => {
    const bytes = Buffer.isBuffer(value) ? value : Buffer.from(String(value), 'latin1');
    const tail = Buffer.concat([Buffer.from(` ${key}=`, 'latin1'), bytes, Buffer.from('\n')]);
    let length = tail.length + 1;
    while (String(length).length + tail.length !== length) length = String(length).length + tail.length;
    records.push(Buffer.from(String(length)), tail);
  };
  if (entry.path.length > 100) add('path', entry.path);
  if (entry.linkTarget.length > 100) add('linkpath', entry.linkTarget);
  if (entry.uid > maxOctal[8]) add('uid', entry.uid);
  if (entry.gid > maxOctal[8]) add('gid', entry.gid);
  if (entry.size > maxOctal[12]) add('size', entry.size);
  if (entry.mtime < 0 || entry.mtime > maxOctal[12]) add('mtime', entry.mtime);
  for (const [name, value] of entry.xattrs) add(`SCHILY.xattr.${name}`, value);
  return records;
}

function ustarBlock(entry: TarEntry, flag: string, size: number): Buffer {
  const block = Buffer.alloc(blockSize);
  const octal = (value: number, at: number, length: 8 | 12) => {
    const fits = value >= 0 && value <= maxOctal[length] ? value : 0; // pax says it
    block.write(fits.toString(8).padStart(length - 1, '0'), at, 'latin1');
  };
  block.write(entry.path.slice(0, 100), 0, 'latin1');
  octal(entry.mode, 100, 8);
  octal(entry.uid, 108, 8);
  octal(entry.gid, 116, 8);
  octal(size, 124, 12);
  octal(entry.mtime, 136, 12);
  block.write(flag, 156, 'latin1');
  block.write(entry.linkTarget.slice(0, 100), 157, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  octal(entry.deviceMajor, 329, 8);
  octal(entry.deviceMinor, 337, 8);
  let sum = 8 * 32;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
