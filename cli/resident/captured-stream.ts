/** A stream that keeps what is written to it, and looks to a verb like the caller's own. */
import { Writable } from 'node:stream';
import type { Stream } from './frames.ts';

export interface CapturedStream { readonly stream: NodeJS.WriteStream; text(): string }

export function captureStream({ terminal, columns, rows }: Stream): CapturedStream {
  const parts: Buffer[] = [];
  const writable = new Writable({ write: (chunk: Buffer, _encoding, done) => { parts.push(chunk); done(); } });
  // Verbs that a resident serves write, and ask whether and how wide a terminal it is; nothing else of a terminal is there.
  const stream = Object.assign(writable, terminal ? { isTTY: true, columns: columns || 80, rows: rows || 24 } : {}) as unknown as NodeJS.WriteStream;
  return { stream, text: () => Buffer.concat(parts).toString('utf8') };
}
