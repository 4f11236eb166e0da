/** From files to one tree: what each includes and what its services extend is brought in, and each is laid over those before it. */
import { basename } from 'node:path';
import { loadDocuments, type Loading } from './load-documents.ts';
import { resolveExtends } from './resolve-extends.ts';
import { resolveIncludes } from './resolve-includes.ts';
import { mergeTrees, settleTags } from './yaml/merge-trees.ts';
import type { MapNode, TreePlace } from './yaml/tree.ts';

/** One tree of all the files; undefined where none could be read. Relative paths start from `baseDir`. */
export async function loadFiles(files: readonly string[], baseDir: string, loading: Loading, asked?: TreePlace): Promise<MapNode | undefined> {
  let whole: MapNode | undefined;
  for (const path of files) {
    if (loading.chain.includes(path)) {
      loading.report.error(asked ?? { file: path, line: 1, column: 1 }, 'compose.cycle', `files include each other: ${[...loading.chain.slice(loading.chain.indexOf(path)), path].map((one) => basename(one)).join(' → ')}`);
      continue;
    }
    const inside: Loading = { ...loading, chain: [...loading.chain, path] };
    for (const document of await loadDocuments({ path, baseDir }, inside, asked)) {
      const extended = await resolveExtends(document, inside);
      const complete = await resolveIncludes(extended, inside, loadFiles);
      whole = whole === undefined ? complete : (mergeTrees(whole, complete) as MapNode);
    }
  }
  return whole === undefined ? undefined : (settleTags(whole) as MapNode);
}
