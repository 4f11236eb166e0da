/**
 * Splits what comes from a guest into frames and refuses whatever is no frame, as early as possible. Unlike
 * the agent's own decoder it counts on nothing: memory is one payload at most, however small the pieces in
 * which it comes, and a frame's size must fit its type before a byte of it is kept.
 */
import { frameTypes, headerBytes, magic, maxDataBytes, maxPayload, type Frame, type FrameType } from '#guest-protocol';
import { protocolViolation } from './protocol-violation.ts';

export interface FrameReader {
  /** Calls `take` with each frame these bytes complete, in order. @throws StrataError `agent.protocol` */
  push(chunk: Uint8Array, take: (frame: Frame) => void): void;
}

/** Length of the payload by type: at least, at most. */
const sizes: Readonly<Record<number, readonly [number, number]>> = {
  [frameTypes.reset]: [32, 32],
  [frameTypes.json]: [2, maxPayload],
  [frameTypes.data]: [0, maxDataBytes],
  [frameTypes.errorData]: [0, maxDataBytes],
  [frameTypes.endOfData]: [0, 0],
  [frameTypes.credit]: [4, 4],
};

export function frameReader(): FrameReader {
  const header = new Uint8Array(headerBytes);
  const fields = new DataView(header.buffer);
  let headerLength = 0;
  let payload: Uint8Array | undefined;
  let payloadLength = 0;

  return {
    push(chunk, take) {
      let at = 0;
      while (at < chunk.length || (payload !== undefined && payload.length === payloadLength)) {
        if (payload === undefined) {
          const part = chunk.subarray(at, at + headerBytes - headerLength);
          header.set(part, headerLength);
          headerLength += part.length;
          at += part.length;
          if (headerLength < headerBytes) return;
          payload = new Uint8Array(checkedSize(header, fields));
          payloadLength = 0;
        }
        const part = chunk.subarray(at, at + payload.length - payloadLength);
        payload.set(part, payloadLength);
        payloadLength += part.length;
        at += part.length;
        if (payloadLength < payload.length) return;
        const frame: Frame = { type: header[4] as FrameType, stream: fields.getUint32(8, true), payload };
        payload = undefined;
        headerLength = 0;
        take(frame);
      }
    },
  };
}

function checkedSize(header: Uint8Array, fields: DataView): number {
  if (magic.some((byte, index) => header[index] !== byte)) throw protocolViolation('bytes that are no frame');
  const size = fields.getUint32(12, true);
  const limits = sizes[header[4] as number];
  if (limits === undefined || header[5] !== 0 || header[6] !== 0 || header[7] !== 0) throw protocolViolation('a frame of unknown type');
  if (size < limits[0] || size > limits[1]) throw protocolViolation(`a frame of type ${header[4]} with ${size} bytes`);
  return size;
}
