/** A layer as images carry it: maybe compressed, its uncompressed digest known ahead. */
import { createHash, type Hash } from 'node:crypto';
import { Readable } from 'node:stream';
import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import { imageRefused, type Layer } from '../flatten/layer.ts';
import { readTar } from '../tar/read-tar.ts';
import { TarProblem } from '../tar/read-header.ts';

export interface OciLayer {
  readonly name: string;
  /** `sha256:…` of the uncompressed tar; what the config promises. */
  readonly diffId: string;
  open(): AsyncIterable<Uint8Array>;
}

export interface BombLimits {
  /** Bytes one layer may have uncompressed. */
  readonly maxBytes: number;
  /** How many times larger than compressed it may be, once it has more than `graceBytes`. */
  readonly maxRatio: number;
  readonly graceBytes: number;
}

export const bombLimits: BombLimits = { maxBytes: 36 * 1024 ** 3, maxRatio: 300, graceBytes: 256 * 1024 ** 2 };

/** @param image how errors call it */
export function ociLayer(image: string, layer: OciLayer, limits: BombLimits = bombLimits): Layer {
  return {
    name: layer.name,
    async *items() {
      const hash = createHash('sha256');
      yield* readTar(uncompressed(layer.open(), limits, hash));
      const found = `sha256:${hash.digest('hex')}`;
      if (found !== layer.diffId) throw imageRefused({ image, layer: layer.name }, `its content is ${found.slice(0, 19)}…, not the ${layer.diffId.slice(0, 19)}… that the config promises`);
    },
  };
}

async function* uncompressed(source: AsyncIterable<Uint8Array>, limits: BombLimits, hash: Hash): AsyncGenerator<Buffer> {
  const chunks = source[Symbol.asyncIterator]();
  try {
    const first = await chunks.next();
    const head = first.done === true ? new Uint8Array() : first.value;
    let compressedBytes = 0;
    const counted = async function* () {
      for (let chunk: Uint8Array | undefined = head; chunk !== undefined;) {
        compressedBytes += chunk.length;
        yield chunk;
        const next: IteratorResult<Uint8Array> = await chunks.next();
        chunk = next.done === true ? undefined : next.value;
      }
    };
    let bytes = 0;
    for await (const chunk of decompressed(counted(), head)) {
      bytes += chunk.length;
      if (bytes > limits.maxBytes) throw new TarProblem(`it has more than ${limits.maxBytes} bytes uncompressed`);
      if (bytes > limits.graceBytes && bytes > limits.maxRatio * compressedBytes) throw new TarProblem(`it grows to more than ${limits.maxRatio} times its size: a compression bomb`);
      hash.update(chunk);
      yield chunk;
    }
  } finally { await chunks.return?.(); }
}

/** By what it is, not by what it is called: Docker and containerd do the same. */
async function* decompressed(source: AsyncIterable<Uint8Array>, head: Uint8Array): AsyncGenerator<Buffer> {
  const engine = head[0] === 0x1f && head[1] === 0x8b ? createGunzip({ chunkSize: 256 * 1024 })
    : head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd ? createZstdDecompress({ chunkSize: 256 * 1024, params: { [constants.ZSTD_d_windowLogMax]: 27 } })
    : undefined;
  if (engine === undefined) { yield* source as AsyncIterable<Buffer>; return; }
  const input = Readable.from(source, { objectMode: false });
  // An error of the source must end the reader too; `pipe` alone would leave it waiting.
  input.on('error', (error) => { engine.destroy(error); });
  try {
    yield* input.pipe(engine) as AsyncIterable<Buffer>;
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    throw /^(Z_|ZSTD_|ERR_ZLIB|ERR_BROTLI)/.test(code) ? new TarProblem(`its compressed data is damaged (${code})`) : cause;
  } finally {
    input.destroy();
    engine.destroy();
  }
}
