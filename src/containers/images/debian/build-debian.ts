/** From a Debian recipe an image. Its identity is made of what goes in, so an unchanged recipe costs a look. */
import { createHash } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hostArchitecture, type Architecture } from '#base';
import { canonicalJson } from '../../build-guest-spec.ts';
import type { DebianRecipe, ImageProgress } from '../image.ts';
import { temporaryName } from '../image-files.ts';
import type { Layer } from '../flatten/layer.ts';
import { openAptFolder, type AptFolder } from './apt-folder.ts';
import { contextLayer, readContext, type ContextFile } from './context-files.ts';
import { ensureInstalled } from './native-root.ts';
import { resolveOnce } from './resolution-memo.ts';
import { fetchPackages, packagesOf, type InstallStep } from './resolve-packages.ts';
import { isKept } from './kept-files.ts';
import { takeTurns } from '../take-turns.ts';
import { tarFileLayer } from './tar-layers.ts';
import { unpackedLayers } from './unpacked-layers.ts';

/** Changes when the same inputs give another image. */
const builderVersion = 1;

export interface DebianWish {
  readonly recipe: DebianRecipe;
  readonly contextDir: string;
  readonly architecture: Architecture;
  /** Folder of caches: package lists, packages, bases. */
  readonly folder: string;
  readonly signal?: AbortSignal;
  readonly progress?: ImageProgress;
}

export interface DebianPlan {
  readonly digest: string;
  readonly steps: readonly InstallStep[];
  readonly files: readonly ContextFile[];
  readonly apt: AptFolder;
}

export type FlattenDebian = (layers: readonly Layer[]) => Promise<void>;

/** Everything that decides how the image comes out, and its digest. @throws StrataError `image.packageMissing`, `image.badCopy` */
export async function planDebian({ recipe, contextDir, architecture, folder, signal, progress }: DebianWish): Promise<DebianPlan> {
  const files = await readContext(contextDir, recipe.copy);
  progress?.({ what: 'looking up packages' });
  const apt = await openAptFolder(folder, recipe.suite, architecture, signal);
  const steps = await resolveOnce(apt, recipe.packages, folder, signal);
  const inputs = {
    builderVersion, recipe: { ...recipe }, architecture, packages: packagesOf(steps).map((one) => one.file).sort(),
    files: files.map(({ entry, content }) => ({ path: entry.path, type: entry.type, mode: entry.mode, content })),
  };
  return { digest: `sha256:${createHash('sha256').update(canonicalJson(inputs)).digest('hex')}`, steps, files, apt };
}

/** How many images are put together at once. */
const width = 2;
let turn = 0;

/** Makes the image's layers and hands them to `flatten`; what was made on the way is gone afterwards. */
export async function buildDebian(wish: DebianWish, plan: DebianPlan, flatten: FlattenDebian): Promise<void> {
  const { architecture, folder, signal, progress } = wish;
  turn = (turn + 1) % width;
  await takeTurns(`debian build ${turn}`, async () => {
    signal?.throwIfAborted();
    const work = await temporaryName(join(folder, 'work', 'image'));
    await mkdir(work, { recursive: true });
    try {
      const layers = architecture === hostArchitecture ? await nativeLayers(wish, plan) : await foreignLayers(wish, plan, work);
      progress?.({ what: 'writing the image' });
      await flatten([...layers, contextLayer(plan.files)]);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
}

export const debianNote = (architecture: Architecture): string => (architecture === hostArchitecture ? '' : 'unpacked only');

async function foreignLayers({ recipe, architecture, signal, progress }: DebianWish, { apt, steps }: DebianPlan, work: string): Promise<readonly Layer[]> {
  progress?.({ what: `fetching and unpacking ${packagesOf(steps).length} packages` });
  await fetchPackages(apt, recipe.packages, packagesOf(steps), signal);
  return unpackedLayers(packagesOf(steps), apt.archives, work, architecture, signal);
}

async function nativeLayers({ recipe, folder, signal, progress }: DebianWish, plan: DebianPlan): Promise<readonly Layer[]> {
  const tar = await ensureInstalled({
    apt: plan.apt, names: recipe.packages, steps: plan.steps, folder, ...(signal === undefined ? {} : { signal }),
    installing: () => progress?.({ what: `fetching and installing ${packagesOf(plan.steps).length} packages` }),
  });
  return [tarFileLayer('the installed system', tar, isKept)];
}
