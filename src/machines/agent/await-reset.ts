/**
 * Begins a connection: sends a reset with a fresh nonce and throws away everything until the guest's answer
 * to just this reset; before it stand leftovers of an earlier daemon's connection, or anything at all.
 */
import type { Duplex } from 'node:stream';
import { StrataError, type Clock, type Dice } from '#base';
import { encodeFrame, frameTypes } from '#guest-protocol';
import { protocolViolation } from './protocol-violation.ts';

export interface AwaitResetOptions {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly limitMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Leftovers are at most what both ends had queued; more is a guest that only makes noise. */
const maxLeftovers = 32 * 1024 * 1024;

/**
 * The bytes after the answer; the line is paused.
 * @throws StrataError `agent.timeout`, `agent.gone`, `agent.protocol`
 */
export async function awaitReset(line: Duplex, options: AwaitResetOptions): Promise<Uint8Array> {
  const nonce = Buffer.from(options.dice.bytes(16)).toString('hex');
  const frame = encodeFrame(frameTypes.reset, 0, Buffer.from(nonce, 'latin1'));
  const limit = new AbortController();
  try {
    return await new Promise<Uint8Array>((resolve, reject) => {
      const stop = { signal: limit.signal };
      const gone = () => reject(new StrataError('the line to the guest\'s agent was lost', { code: 'agent.gone', kind: 'unavailable' }));
      let tail = Buffer.alloc(0);
      let seen = 0;
      const onData = (chunk: Buffer) => {
        const bytes = tail.length === 0 ? chunk : Buffer.concat([tail, chunk]);
        const at = bytes.indexOf(frame);
        if (at >= 0) {
          line.pause();
          return resolve(bytes.subarray(at + frame.length));
        }
        tail = Buffer.from(bytes.subarray(Math.max(0, bytes.length - frame.length + 1)));
        seen += chunk.length;
        if (seen > maxLeftovers) reject(protocolViolation('no answer to a reset within 32 MiB'));
      };
      line.on('data', onData).on('close', gone).on('end', gone).resume(); // it may be a paused one that was used before
      limit.signal.addEventListener('abort', () => { line.off('data', onData).off('close', gone).off('end', gone); });
      options.signal?.addEventListener('abort', gone, stop);
      if (options.signal?.aborted === true || line.destroyed) gone();
      options.clock.wait(options.limitMs, limit.signal).then(
        () => reject(new StrataError(`the guest's agent did not answer within ${options.limitMs} ms`, { code: 'agent.timeout', kind: 'timeout' })),
        () => undefined, // the answer came first
      );
      line.write(frame);
    });
  } finally {
    limit.abort();
  }
}
