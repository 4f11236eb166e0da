/** Images of an instance of its own in a folder of its own, gone after the test file. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProcess, silentLog, systemClock, type Instance } from '#base';
import type { Store } from '#store';
import { openSqliteStore } from '#store/sqlite';
import { openImages, type OpenedImages } from '../open-images.ts';
import type { Environment } from '../registry/credentials.ts';

export interface TestImages {
  readonly folder: string;
  readonly instance: Instance;
  readonly store: Store;
  readonly images: OpenedImages;
  /** The same folders opened anew, as after a crash. */
  again(): OpenedImages;
  close(): Promise<void>;
}

export async function openTestImages(options: { readonly cacheDir?: string; readonly environment?: Environment } = {}): Promise<TestImages> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-images-'));
  mkdirSync(join(folder, 'state'));
  const instance: Instance = { name: 'imgt', stateDir: join(folder, 'state'), runDir: join(folder, 'run'), cacheDir: options.cacheDir ?? join(folder, 'cache'), subnet: 199 };
  const store = await openSqliteStore({ path: join(folder, 'store.db') });
  const again = () => openImages({ instance, store, clock: systemClock, log: silentLog, environment: options.environment ?? { HOME: folder } });
  return {
    folder, instance, store, images: again(), again,
    async close() {
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What a squashfs holds, one line for each entry: mode, owner, size, name. */
export async function listSquashfs(path: string): Promise<readonly string[]> {
  const { stdout } = await runProcess(['unsquashfs', '-lln', path]);
  return stdout.split('\n').filter((line) => line.includes('squashfs-root')).map((line) => line.replace(/\s+/g, ' ').replace(/\d{4}-\d\d-\d\d \d\d:\d\d /, ''));
}

export async function readInSquashfs(path: string, name: string): Promise<string> {
  return (await runProcess(['unsquashfs', '-cat', path, name])).stdout;
}
