/** Whether a guest's agent answers: a reset frame with a nonce comes back. */
import { randomBytes } from 'node:crypto';
import { encodeFrame, frameTypes } from '#guest-protocol';
import type { RunningMachine } from '../engine.ts';

/** False when the limit passes or the line is lost. */
export async function askForLife(machine: RunningMachine, limitMs: number, signal?: AbortSignal): Promise<boolean> {
  const line = await machine.openAgentLine();
  const nonce = Buffer.from(randomBytes(16).toString('hex'));
  const limit = AbortSignal.timeout(Math.max(1, Math.ceil(limitMs)));
  const { promise, resolve } = Promise.withResolvers<boolean>();
  let tail = Buffer.alloc(0);
  line.on('data', (chunk: Buffer) => {
    tail = Buffer.concat([tail, chunk]).subarray(-4096);
    if (tail.includes(nonce)) resolve(true);
  });
  line.on('error', () => resolve(false));
  line.on('close', () => resolve(false));
  for (const one of [limit, signal]) one?.addEventListener('abort', () => resolve(false), { once: true });
  line.write(encodeFrame(frameTypes.reset, 0, nonce));
  try {
    return await promise;
  } finally {
    line.destroy();
  }
}
