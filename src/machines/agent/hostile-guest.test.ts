/** Guests that flood: the daemon's memory stays flat and its event loop goes on, whatever they send. */
import { ok } from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { systemClock } from '#base';
import { encodeFrame, frameTypes } from '#guest-protocol';
import { connectTestGuest, type TestGuest } from './test-guest.ts';

const MiB = 1024 * 1024;
const state = { id: 'c1', digest: 'd', phase: 'running', pid: 1, startedAtMs: 1, finishedAtMs: 0, exitCode: -1, oomKilled: false, restarts: 0, health: 'none', lastProbe: null, error: '' };

/** Writes up to 100 MB as fast as the line takes it, for two seconds at most; returns bytes taken and the longest pause of the event loop. */
async function flood(guest: TestGuest, piece: Uint8Array): Promise<{ readonly taken: number; readonly stalledMs: number; readonly grownMiB: number }> {
  const { wire } = guest;
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  const end = performance.now() + 2000;
  let taken = 0;
  let stalledMs = 0;
  let grown = 0;
  while (taken < 100 * MiB && performance.now() < end && !wire.destroyed) {
    const began = performance.now();
    let ready = true;
    for (let burst = 0; burst < 64 * 1024 && ready && !wire.destroyed; burst += piece.length) {
      ready = wire.write(piece);
      taken += piece.length;
    }
    stalledMs = Math.max(stalledMs, performance.now() - began);
    await (ready ? new Promise((resolve) => { setImmediate(resolve); }) : wait(20));
    grown = Math.max(grown, process.memoryUsage().rss - before);
    if (wire.writableLength > 4 * MiB) break; // the host does not read: what waits, waits in the guest
  }
  return { taken, stalledMs, grownMiB: grown / MiB };
}

const floods: Readonly<Record<string, (stream: number) => Uint8Array>> = {
  'events': () => encodeFrame(frameTypes.json, 0, Buffer.from(JSON.stringify({ event: 'container', state }))),
  'tiny frames of a stream that is over': (stream) => Buffer.concat(Array.from({ length: 100 }, () => encodeFrame(frameTypes.endOfData, stream, new Uint8Array(0)))),
  'late answers of two megabytes': () => encodeFrame(frameTypes.json, 0, Buffer.from(JSON.stringify({ id: 1, result: 'x'.repeat(2 * MiB - 1000) }))),
  'noise': () => Buffer.alloc(64 * 1024, 0x41),
};
for (const [what, piece] of Object.entries(floods)) {
  test(`[M66] a flood costs no memory and stops nobody else: ${what}`, async () => {
    const guest = await connectTestGuest();
    const over = guest.connection.openStream();
    over.close();
    const pending = guest.connection.call('stats', {}).catch(() => undefined);
    let events = 0;
    guest.connection.onEvent(() => { events += 1; });
    guest.wire.on('error', () => undefined);
    const { stalledMs, grownMiB } = await flood(guest, piece(over.id));
    ok(grownMiB < 60, `grown by ${Math.round(grownMiB)} MiB`); // the collector's slack; 100 MB kept would show
    ok(stalledMs < 500, `the event loop stood for ${Math.round(stalledMs)} ms`);
    ok(events < 2000, `${events} events came through`);
    guest.connection.close();
    await pending;
    guest.wire.destroy();
  });
}

test('[M66] whose messages take long to read waits for that: a second may be taken at once, a fifth of the time may last', async () => {
  let taken = 0;
  const guest = await connectTestGuest(undefined, { ...systemClock, monotonic: () => systemClock.monotonic() + taken });
  let heard = 0;
  guest.connection.onEvent(() => { heard += 1; taken += 400; });
  const event = encodeFrame(frameTypes.json, 0, Buffer.from(JSON.stringify({ event: 'container', state })));
  for (let index = 0; index < 20; index += 1) { guest.wire.write(event); await wait(10); }
  ok(heard >= 2 && heard <= 5, `${heard} of 20 were read`);
  guest.connection.close();
  guest.wire.destroy();
});
