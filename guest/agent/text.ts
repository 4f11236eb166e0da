/** Bytes and text: UTF-8 through the native module, base64 by hand because QuickJS has none. */
import { decode, encode } from 'sys';

export const bytesOf = (text: string): Uint8Array => new Uint8Array(encode(text));
export const textOf = (bytes: Uint8Array): string => decode(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const values = new Uint8Array(128);
for (let at = 0; at < 64; at += 1) values[alphabet.charCodeAt(at)] = at;

export function fromBase64(text: string): Uint8Array {
  const clean = text.endsWith('==') ? text.length - 2 : text.endsWith('=') ? text.length - 1 : text.length;
  const bytes = new Uint8Array(Math.floor((clean * 3) / 4));
  let held = 0;
  let bits = 0;
  let out = 0;
  for (let at = 0; at < clean; at += 1) {
    held = ((held << 6) | (values[text.charCodeAt(at) & 127] as number)) & 0xffffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[out] = (held >> bits) & 255;
      out += 1;
    }
  }
  return bytes;
}

export function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const a = bytes[at] as number;
    const b = bytes[at + 1] ?? 0;
    const c = bytes[at + 2] ?? 0;
    text += alphabet.charAt(a >> 2) + alphabet.charAt(((a & 3) << 4) | (b >> 4));
    text += at + 1 < bytes.length ? alphabet.charAt(((b & 15) << 2) | (c >> 6)) : '=';
    text += at + 2 < bytes.length ? alphabet.charAt(c & 63) : '=';
  }
  return text;
}
