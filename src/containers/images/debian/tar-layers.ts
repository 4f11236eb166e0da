/** Layers of the flattener from tar files of ours, and from entries made in memory. */
import { createReadStream } from 'node:fs';
import { Buffer } from 'node:buffer';
import type { Layer } from '../flatten/layer.ts';
import { readTar, type TarItem } from '../tar/read-tar.ts';
import type { TarEntry } from '../tar/tar-entry.ts';

export type KeepEntry = (path: string) => boolean;

/** An uncompressed tar file; entries whose normal path `keep` refuses are passed over. */
export function tarFileLayer(name: string, path: string, keep: KeepEntry): Layer {
  return {
    name, followLinks: true,
    async *items() {
      for await (const { entry, content } of readTar(createReadStream(path, { highWaterMark: 1024 * 1024 }))) {
        if (keep(entry.path.replace(/^(\.?\/)+/, '').replace(/\/+$/, ''))) yield { entry, content };
      }
    },
  };
}

export interface MadeEntry { readonly entry: TarEntry; readonly content?: () => AsyncIterable<Buffer> }

/** Entries that we supply ourselves. */
export function madeLayer(name: string, entries: readonly MadeEntry[]): Layer {
  return {
    name, followLinks: true,
    async *items(): AsyncGenerator<TarItem> {
      for (const { entry, content } of entries) yield { entry, content: content ?? nothing };
    },
  };
}

async function* nothing(): AsyncGenerator<Buffer> { /* no content */ }

export function contentOf(text: string): () => AsyncIterable<Buffer> {
  return async function* () { yield Buffer.from(text); };
}
