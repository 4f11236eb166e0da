/** The frame codec: what goes in comes out, however the bytes are cut. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeFrame, FrameDecoder, FrameError, frameTypes, headerBytes, maxPayload, type Frame } from './frames.ts';

const frame = fc.record({
  type: fc.constantFrom(...Object.values(frameTypes)), stream: fc.integer({ min: 0, max: 0xffffffff }), payload: fc.uint8Array({ maxLength: 300 }),
});

test('[G80] frames come out as they went in, however the bytes are cut', () => {
  fc.assert(fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (frames, cuts) => {
    const bytes = Buffer.concat(frames.map((one) => encodeFrame(one.type, one.stream, one.payload)));
    const decoder = new FrameDecoder();
    const seen: Frame[] = [];
    for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
      const length = cuts[turn % cuts.length] as number;
      seen.push(...decoder.push(new Uint8Array(bytes.subarray(at, at + length))));
      at += length;
    }
    assert.deepEqual(seen.map((one) => ({ ...one, payload: [...one.payload] })), frames.map((one) => ({ ...one, payload: [...one.payload] })));
  }));
});

test('[G80] bytes that are no frame, and frames that are too large, are an error and never kept', () => {
  assert.throws(() => new FrameDecoder().push(new Uint8Array(headerBytes)), FrameError);
  const large = encodeFrame(frameTypes.data, 1, new Uint8Array(0));
  new DataView(large.buffer).setUint32(12, maxPayload + 1, true);
  assert.throws(() => new FrameDecoder().push(large), FrameError);
});

test('[G80] after a reset the rest of a frame is forgotten', () => {
  const decoder = new FrameDecoder();
  const whole = encodeFrame(frameTypes.json, 0, new Uint8Array([1, 2, 3]));
  assert.deepEqual(decoder.push(whole.subarray(0, headerBytes + 1)), []);
  decoder.reset();
  assert.equal(decoder.push(whole).length, 1);
});

test('[G80] random bytes end in an error or in waiting, never in anything else', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    try { new FrameDecoder().push(bytes); } catch (error) { assert.ok(error instanceof FrameError); }
  }));
});
