/** Blobs by digest, in `blobs/sha256/`. A file under its name is whole and checked; `.partial` may be gone on with. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { asStrataError, StrataError } from '#base';
import { takeTurns } from '../take-turns.ts';
import { imageRefused } from '../flatten/layer.ts';
import type { Descriptor } from '../oci/oci-documents.ts';
import type { RegistryClient } from './registry-client.ts';

export interface BlobCache {
  /** Makes sure the blob is there; tells how many more bytes there are now. */
  ensure(client: RegistryClient, blob: Pick<Descriptor, 'digest' | 'size'>, image: string, grown: (bytes: number) => void, signal?: AbortSignal): Promise<void>;
  read(digest: string): AsyncIterable<Buffer>;
  /** Removes blobs that nobody asked for since; they are only a cache. @returns bytes that are free now */
  prune(olderThanMs: number): Promise<number>;
}

const attempts = 5;
const firstDelayMs = 250;
/** A body may pause this long before it counts as lost. */
const idleMs = 30_000;

export function openBlobCache(folder: string): BlobCache {
  const pathOf = (digest: string) => join(folder, 'sha256', digest.replace('sha256:', ''));
  const inUse = new Map<string, number>();

  return {
    async ensure(client, blob, image, grown, signal) {
      const path = pathOf(blob.digest);
      inUse.set(path, (inUse.get(path) ?? 0) + 1);
      try {
        await takeTurns(path, async () => {
          await mkdir(join(folder, 'sha256'), { recursive: true });
          if ((await sizeOf(path)) === blob.size) {
            await utimes(path, new Date(), new Date());
            grown(blob.size);
            return;
          }
          await download(client, blob, path, image, grown, signal);
        });
      } finally { inUse.set(path, (inUse.get(path) ?? 1) - 1); }
    },
    async *read(digest) { yield* createReadStream(pathOf(digest), { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>; },
    async prune(olderThanMs) {
      let freed = 0;
      for (const name of await readdir(join(folder, 'sha256')).catch(() => [])) {
        const path = join(folder, 'sha256', name);
        const found = await stat(path).catch(() => undefined);
        if (found === undefined || (inUse.get(path.replace(/\.partial$/, '')) ?? 0) > 0 || Date.now() - found.mtimeMs < olderThanMs) continue;
        await rm(path, { force: true });
        freed += found.size;
      }
      return freed;
    },
  };
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then((one) => one.size, () => -1);
}

async function download(client: RegistryClient, blob: Pick<Descriptor, 'digest' | 'size'>, path: string, image: string, grown: (bytes: number) => void, signal?: AbortSignal): Promise<void> {
  const partial = `${path}.partial`;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await goOn(client, blob, partial, image, grown, signal);
      await rename(partial, path);
      return;
    } catch (thrown) {
      signal?.throwIfAborted();
      const error = asStrataError(thrown, `registry ${client.registry} broke off`);
      const code = (thrown as NodeJS.ErrnoException).code;
      if (code === 'ENOSPC') throw new StrataError('the disk is full: a layer cannot be kept', { code: 'image.diskFull', kind: 'exhausted', cause: thrown, advice: 'free some room, for example with `strata image prune`' });
      const lost = !(thrown instanceof StrataError) || error.kind === 'unavailable';
      if (!lost || attempt === attempts) {
        throw lost && !(thrown instanceof StrataError) ? new StrataError(`registry ${client.registry} broke off ${attempts} times while it sent ${blob.digest.slice(0, 19)}`, { code: 'image.registryUnreachable', kind: 'unavailable', cause: thrown, advice: 'try again: what has arrived is kept' }) : error;
      }
      await wait(firstDelayMs * 2 ** (attempt - 1), undefined, signal === undefined ? {} : { signal });
    }
  }
}

/** Goes on where the partial file ends; the digest is taken over all of it. */
async function goOn(client: RegistryClient, blob: Pick<Descriptor, 'digest' | 'size'>, partial: string, image: string, grown: (bytes: number) => void, signal?: AbortSignal): Promise<void> {
  const hash = createHash('sha256');
  let have = Math.max(0, await sizeOf(partial));
  if (have > blob.size) { await rm(partial); have = 0; }
  if (have > 0) for await (const chunk of createReadStream(partial) as AsyncIterable<Buffer>) hash.update(chunk);
  const file = await open(partial, have === 0 ? 'w' : 'a', 0o600);
  let told = 0;
  const tell = (bytes: number) => { told += bytes; grown(bytes); };
  let whole = false;
  try {
    tell(have);
    if (have < blob.size || blob.size === 0) {
      const idle = idleSignal();
      try {
        const answer = await client.get(`blobs/${blob.digest}`, { from: have, signal: AbortSignal.any([idle.signal, ...(signal === undefined ? [] : [signal])]) });
        if (have > 0 && answer.status !== 206) { // it does not know ranges: from the beginning, in the next round
          await answer.body?.cancel();
          await file.truncate(0);
          throw new StrataError('the registry does not go on where it stopped', { code: 'image.registryUnreachable', kind: 'unavailable' });
        }
        for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
          idle.again();
          have += chunk.length;
          if (have > blob.size) throw imageRefused({ image, layer: `blob ${blob.digest.slice(0, 19)}` }, `the registry sends more than the ${blob.size} bytes it has`);
          hash.update(chunk);
          await file.write(chunk);
          tell(chunk.length);
        }
      } finally { idle.end(); }
    }
    if (have !== blob.size) throw new Error('the body ended early');
    if (`sha256:${hash.digest('hex')}` !== blob.digest) throw imageRefused({ image, layer: `blob ${blob.digest.slice(0, 19)}` }, 'what the registry sends has another digest');
    await file.sync();
    whole = true;
  } catch (thrown) {
    if (thrown instanceof StrataError && thrown.code === 'image.refused') await rm(partial, { force: true });
    throw thrown;
  } finally {
    await file.close();
    if (!whole) grown(-told);
  }
}

function idleSignal(): { readonly signal: AbortSignal; again(): void; end(): void } {
  const controller = new AbortController();
  const timer = setTimeout(() => { controller.abort(new Error('the registry went silent')); }, idleMs);
  return { signal: controller.signal, again: () => { timer.refresh(); }, end: () => { clearTimeout(timer); } };
}
