/** Bytes and text, through the native module: UTF-8 and base64. */
import * as sys from 'sys';

export const bytesOf = (text: string): Uint8Array => new Uint8Array(sys.encode(text));
export const textOf = (bytes: Uint8Array): string => sys.decode(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);
export const fromBase64 = (text: string): Uint8Array => new Uint8Array(sys.fromBase64(text));
export const toBase64 = (bytes: Uint8Array): string => sys.toBase64(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);
