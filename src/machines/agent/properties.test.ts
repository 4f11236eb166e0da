/** Properties of the codec and of the accounting of streams, for any bytes and any order. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StrataError } from '#base';
import { encodeFrame, maxDataBytes, streamWindow, type Frame, type FrameType } from '#guest-protocol';
import { readGuestMessage } from './check-messages.ts';
import { hostStream } from './host-stream.ts';
import { frameReader } from './read-frames.ts';

const payloadOf = { 1: fc.uint8Array({ minLength: 32, maxLength: 32 }), 2: fc.uint8Array({ minLength: 2, maxLength: 300 }), 3: fc.uint8Array({ maxLength: 300 }), 4: fc.uint8Array({ maxLength: 300 }), 5: fc.constant(new Uint8Array(0)), 6: fc.uint8Array({ minLength: 4, maxLength: 4 }) };
const frame = fc.constantFrom<FrameType>(1, 2, 3, 4, 5, 6).chain((type) => fc.record({ type: fc.constant(type), stream: fc.nat(), payload: payloadOf[type] }));

test('[M64] frames come out as they went in, however the bytes are cut', () => {
  fc.assert(fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 50 }), (frames, cuts) => {
    const all = Buffer.concat(frames.map((one) => encodeFrame(one.type, one.stream, one.payload)));
    const seen: Frame[] = [];
    const reader = frameReader();
    for (let at = 0, round = 0; at < all.length; round += 1) {
      const size = cuts[round % cuts.length] as number;
      reader.push(all.subarray(at, at + size), (one) => seen.push({ ...one, payload: one.payload.slice() }));
      at += size;
    }
    deepEqual(seen.map((one) => [one.type, one.stream, [...one.payload]]), frames.map((one) => [one.type, one.stream, [...one.payload]]));
  }));
});

test('[M64] any bytes give frames within their limits or a breach, never anything else', () => {
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.tuple(frame, fc.uint8Array({ maxLength: 40 })).map(([one, rest]) => Buffer.concat([encodeFrame(one.type, one.stream, one.payload), rest])));
  fc.assert(fc.property(fc.array(bytes, { maxLength: 6 }), (chunks) => {
    const reader = frameReader();
    try {
      for (const chunk of chunks) reader.push(chunk, (one) => { ok(one.type >= 1 && one.type <= 6); readGuestMessage(one.payload); });
    } catch (thrown) {
      ok(thrown instanceof StrataError && thrown.code === 'agent.protocol');
    }
  }));
});

test('[M64] any JSON is a message of the protocol or is none; nothing throws', () => {
  fc.assert(fc.property(fc.json(), (text) => { readGuestMessage(Buffer.from(text)); }));
});

/** A guest that keeps its window, a host program that writes, and readers that read when they like. */
test('[M65] whatever the order of reads, writes and credits: no byte is lost, none goes beyond a window', async () => {
  const step = fc.oneof(
    fc.record({ act: fc.constant('send' as const), bytes: fc.integer({ min: 1, max: 30_000 }), errors: fc.boolean() }),
    fc.record({ act: fc.constant('read' as const), errors: fc.boolean() }),
    fc.record({ act: fc.constant('write' as const), bytes: fc.integer({ min: 1, max: 60_000 }) }),
    fc.record({ act: fc.constant('credit' as const) }),
  );
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
    let guestRoom = streamWindow; // what the guest may still send
    let atGuest = 0; // bytes that came to the guest, not credited yet
    const sums = { sent: [0, 0], read: [0, 0], written: 0, arrived: 0 };
    const stream = hostStream(1, {
      sendData: (_id, bytes) => { ok(bytes.length <= maxDataBytes); atGuest += bytes.length; sums.arrived += bytes.length; ok(atGuest <= streamWindow); },
      sendEnd: () => undefined, grant: (_id, bytes) => { guestRoom += bytes; ok(guestRoom <= streamWindow); }, ready: true, letGo: () => undefined,
    });
    stream.begin();
    const readers = [stream.output, stream.errors] as const;
    const readAll = async (which: 0 | 1) => {
      await new Promise((resolve) => { setImmediate(resolve); });
      for (let chunk = readers[which].read() as Buffer | null; chunk !== null; chunk = readers[which].read() as Buffer | null) sums.read[which] = (sums.read[which] ?? 0) + chunk.length;
    };
    const creditAll = () => { const count = atGuest; atGuest = 0; if (count > 0) stream.takeCredit(count); };
    for (const one of steps) {
      if (one.act === 'send') {
        const size = Math.min(one.bytes, guestRoom, maxDataBytes);
        guestRoom -= size;
        stream.take(new Uint8Array(size), one.errors);
        const which = one.errors ? 1 : 0;
        sums.sent[which] = (sums.sent[which] ?? 0) + size;
      } else if (one.act === 'read') await readAll(one.errors ? 1 : 0);
      else if (one.act === 'write') { sums.written += one.bytes; stream.input.write(Buffer.alloc(one.bytes)); }
      else creditAll();
    }
    for (let round = 0; round < 200 && sums.arrived < sums.written; round += 1) { creditAll(); await new Promise((resolve) => { setImmediate(resolve); }); }
    equal(sums.arrived, sums.written);
    for (let round = 0; round < 20; round += 1) { await readAll(0); await readAll(1); }
    deepEqual(sums.read, sums.sent);
    ok(guestRoom > streamWindow / 2, `a guest whose readers have read everything may send ${guestRoom}`);
  }), { numRuns: 60 });
});

test('[M65] a stream ends once, with the first word of its end', async () => {
  const line = { sendData: () => undefined, sendEnd: () => undefined, grant: () => undefined, ready: true, letGo: () => undefined };
  const stream = hostStream(1, line);
  stream.finish(3);
  stream.fail(new StrataError('late', { code: 'agent.gone', kind: 'unavailable' }));
  equal(await stream.done, 3);
  stream.input.write('nobody reads this');
  stream.close();
});
