/**
 * What the small client (client.c) and the resident say to each other over one connection: one request, one answer.
 *
 * Request: its length (32 bits, the processor's order), then texts that each end with a zero byte: the protocol, `run`
 * or `end`; for `run` device and inode of the root folder and of the mount namespace, then for stdout and for stderr
 * whether it is a terminal, its columns and rows, then the working folder, how many arguments, the arguments, and the
 * environment to the end. Answer: whether it was served, the exit code, two bytes of nothing, the lengths of what goes
 * to stdout and to stderr (32 bits each), and the two.
 */
import { endianness } from 'node:os';

/** Raised with every change of what follows; each side leaves alone whoever speaks another. */
export const protocol = '1';
export const requestMost = 1 << 20;

export interface Stream { readonly terminal: boolean; readonly columns: number; readonly rows: number }
export interface RunRequest {
  /** Device and inode of the caller's root and of its mount namespace: which files its paths name. */
  readonly root: string;
  readonly out: Stream;
  readonly err: Stream;
  readonly cwd: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}
export type Request = RunRequest | 'end';

const little = endianness() === 'LE';
const getU32 = (from: Buffer, at: number): number => (little ? from.readUInt32LE(at) : from.readUInt32BE(at));
const putU32 = (to: Buffer, number: number, at: number): number => (little ? to.writeUInt32LE(number, at) : to.writeUInt32BE(number, at));

/** How many bytes the request that begins so has in all; undefined where too few came yet to tell. */
export const requestLength = (received: Buffer): number | undefined => (received.length < 4 ? undefined : 4 + getU32(received, 0));

/** undefined where it is of another protocol, or no request. @param frame whole, with its length */
export function parseRequest(frame: Buffer): Request | undefined {
  const [spoken, verb, ...rest] = frame.toString('utf8', 4).split('\0');
  if (spoken !== protocol || rest.pop() !== '') return undefined;
  if (verb === 'end') return 'end';
  if (verb !== 'run' || rest.length < 12) return undefined;
  const [cwd = '', count = '', ...words] = rest.slice(10);
  const many = Number(count);
  if (!/^\d+$/.test(count) || many > words.length) return undefined;
  return {
    root: rest.slice(0, 4).join(' '), out: streamOf(rest.slice(4, 7)), err: streamOf(rest.slice(7, 10)), cwd,
    argv: words.slice(0, many), env: Object.fromEntries(words.slice(many).map(variableOf)),
  };
}

const streamOf = ([terminal, columns, rows]: readonly string[]): Stream => ({ terminal: terminal === '1', columns: Number(columns), rows: Number(rows) });

function variableOf(text: string): [name: string, value: string] {
  const at = text.indexOf('=');
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

export interface Answer { readonly code: number; readonly out: string; readonly err: string }

/** undefined: the caller may do it itself. */
export function encodeAnswer(answer: Answer | undefined): Buffer {
  const head = Buffer.alloc(12);
  if (answer === undefined) return head;
  const [out, err] = [Buffer.from(answer.out), Buffer.from(answer.err)];
  head[0] = 1;
  head[1] = answer.code;
  putU32(head, out.length, 4);
  putU32(head, err.length, 8);
  return Buffer.concat([head, out, err]);
}

/** Asks a resident to end. */
export function endRequest(): Buffer {
  const text = Buffer.from(`${protocol}\0end\0`);
  const length = Buffer.alloc(4);
  putU32(length, text.length, 0);
  return Buffer.concat([length, text]);
}
