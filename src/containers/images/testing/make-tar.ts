/** Makes tar archives for tests, also such as no honest program writes. */
import { tarEnd, tarHeader, tarPadding } from '../tar/write-tar.ts';
import { tarEntry, type TarEntry } from '../tar/tar-entry.ts';

export type Piece = Buffer;

export const file = (path: string, content: string | Buffer = '', fields: Partial<TarEntry> = {}): Piece => {
  const bytes = Buffer.from(content);
  return Buffer.concat([tarHeader(tarEntry({ path, type: 'file', size: bytes.length, ...fields })), bytes, tarPadding(bytes.length)]);
};
export const folder = (path: string, fields: Partial<TarEntry> = {}): Piece => tarHeader(tarEntry({ path, type: 'directory', ...fields }));
export const symlink = (path: string, linkTarget: string): Piece => tarHeader(tarEntry({ path, type: 'symlink', linkTarget }));
export const hardlink = (path: string, linkTarget: string): Piece => tarHeader(tarEntry({ path, type: 'hardlink', linkTarget }));
export const device = (path: string, deviceMajor: number, deviceMinor: number): Piece => tarHeader(tarEntry({ path, type: 'character', deviceMajor, deviceMinor }));

/** The first header block changed by hand, its checksum mended. */
export function tampered(piece: Piece, change: (block: Buffer) => void): Piece {
  const copy = Buffer.from(piece);
  const block = copy.subarray(0, 512);
  change(block);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return copy;
}

/** A header of type x, L or K with this body before another piece. */
export function meta(flag: string, body: string | Buffer, size?: number): Piece {
  const bytes = Buffer.from(body);
  const header = tampered(tarHeader(tarEntry({ path: 'meta', type: 'file', size: size ?? bytes.length })), (block) => { block.write(flag, 156, 'latin1'); });
  return Buffer.concat([header, bytes, tarPadding(bytes.length)]);
}

export const paxRecord = (key: string, value: string): string => {
  const tail = ` ${key}=${value}\n`;
  let length = tail.length + 1;
  while (`${length}`.length + tail.length !== length) length = `${length}`.length + tail.length;
  return `${length}${tail}`;
};

export const tarOf = (...pieces: readonly Piece[]): Buffer => Buffer.concat([...pieces, tarEnd]);
