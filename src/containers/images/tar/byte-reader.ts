/** Reads exact numbers of bytes from a stream of chunks, never holding more than one chunk beyond what is asked. */
export interface ByteReader {
  /** Exactly `size` bytes; undefined at a clean end; throws where the stream ends in between. */
  take(size: number): Promise<Buffer | undefined>;
  /** The next `size` bytes as they come. */
  pass(size: number): AsyncGenerator<Buffer>;
  /** Reads on to the end, so that digests over the stream are complete. @returns whether all of it was zero bytes */
  drain(): Promise<boolean>;
  /** Bytes read so far. */
  position(): number;
  close(): Promise<void>;
}

export class StreamTruncated extends Error {
  constructor() { super('the stream ends in the middle of an entry'); }
}

export function byteReader(source: AsyncIterable<Uint8Array>): ByteReader {
  const chunks = source[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  let arrived = 0;

  async function more(): Promise<boolean> {
    const next = await chunks.next();
    if (next.done === true) return false;
    rest = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    arrived += rest.length;
    return true;
  }

  async function* pass(size: number): AsyncGenerator<Buffer> {
    let left = size;
    while (left > 0) {
      if (rest.length === 0 && !(await more())) throw new StreamTruncated();
      const part = rest.subarray(0, Math.min(left, rest.length));
      rest = rest.subarray(part.length);
      left -= part.length;
      if (part.length > 0) yield part;
    }
  }

  return {
    pass,
    position: () => arrived - rest.length,
    async take(size) {
      if (rest.length >= size) {
        const whole = rest.subarray(0, size);
        rest = rest.subarray(size);
        return whole;
      }
      while (rest.length === 0) if (!(await more())) return undefined;
      const parts: Buffer[] = [];
      for await (const part of pass(size)) parts.push(part);
      return Buffer.concat(parts);
    },
    async drain() {
      let zero = rest.every((byte) => byte === 0);
      while (await more()) zero &&= rest.every((byte) => byte === 0);
      rest = Buffer.alloc(0);
      return zero;
    },
    async close() { await chunks.return?.(); },
  };
}
