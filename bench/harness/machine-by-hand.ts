/** The rival of our engine: the same kernel and initramfs, the same words to the kernel, QEMU started as one would by hand. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { waitUntil, type Architecture } from '#base';
import { encodeFrame, frameTypes } from '#guest-protocol';

export interface MachineByHand { readonly pid: number; readonly line: Socket; end(): Promise<void> }

export interface ByHandWish { readonly architecture: Architecture; readonly argv: readonly string[]; readonly socket: string }

/** Returns when QEMU listens for the agent's line. */
export async function startByHand(wish: ByHandWish): Promise<MachineByHand> {
  const child = spawn(`/usr/bin/qemu-system-${wish.architecture}`, [...wish.argv, '-chardev', `socket,id=agent,path=${wish.socket},server=on,wait=off`], { stdio: ['ignore', 'ignore', 'inherit'] });
  const gone = new Promise<void>((resolve) => { child.once('exit', () => resolve()); });
  const line = await waitUntil(() => openLine(wish.socket), { what: 'QEMU listens', limitMs: 10_000, everyMs: 5 });
  return { pid: child.pid ?? 0, line, end: async () => { line.destroy(); child.kill('SIGKILL'); await gone; } };
}

function openLine(path: string): Promise<Socket | false> {
  return new Promise((resolve) => {
    const socket = connect({ path }, () => resolve(socket));
    socket.once('error', () => resolve(false));
  });
}

/** Resolves when the agent has sent the nonce of a reset back. */
export async function awaitAgent(line: Duplex, limitMs = 60_000): Promise<void> {
  const nonce = Buffer.from(randomBytes(16).toString('hex'));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let tail = Buffer.alloc(0);
  line.on('data', (chunk: Buffer) => {
    tail = Buffer.concat([tail, chunk]).subarray(-4096);
    if (tail.includes(nonce)) resolve();
  });
  const late = setTimeout(() => reject(new Error(`the agent did not answer within ${limitMs} ms`)), limitMs);
  line.on('error', reject);
  line.write(encodeFrame(frameTypes.reset, 0, nonce));
  try { await promise; } finally { clearTimeout(late); }
}
