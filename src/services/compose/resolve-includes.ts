/**
 * `include`: another project, with its own folder and variables, whose services, volumes and so on become
 * part of this one. A name that both define differently is an error: nothing is overridden unseen.
 */
import { isDeepStrictEqual } from 'node:util';
import { dirname, join } from 'node:path';
import { resolvePath, type Loading } from './load-documents.ts';
import { readEnvFiles } from './read-env-files.ts';
import { child, map, plain, withoutEntry, type MapEntry, type MapNode, type TreeNode, type TreePlace } from './yaml/tree.ts';

const sections = ['services', 'volumes', 'networks', 'secrets', 'configs'] as const;

/** Loads the files of one project; handed in, since it includes in turn. */
export type LoadFiles = (files: readonly string[], baseDir: string, loading: Loading, asked?: TreePlace) => Promise<MapNode | undefined>;

export async function resolveIncludes(document: MapNode, loading: Loading, loadFiles: LoadFiles): Promise<MapNode> {
  const includes = document.entries.get('include')?.value;
  if (includes?.kind !== 'list') return document;
  let whole = withoutEntry(document, 'include');
  for (const include of includes.items) {
    const included = await loadIncluded(include, loading, loadFiles);
    if (included !== undefined) whole = joinProjects(whole, included, include.place, loading);
  }
  return whole;
}

async function loadIncluded(include: TreeNode, loading: Loading, loadFiles: LoadFiles): Promise<MapNode | undefined> {
  const paths = textsOf(include.kind === 'map' ? child(include, 'path') : include);
  const [first] = paths;
  if (first === undefined) return undefined;
  const files = paths.map((one) => resolvePath(one.text, one.place, undefined));
  const [folder] = textsOf(child(include, 'project_directory'));
  const baseDir = folder === undefined ? dirname(files[0] as string) : resolvePath(folder.text, folder.place, undefined);
  const named = textsOf(child(include, 'env_file'));
  const envFiles = named.length === 0 ? [{ path: join(baseDir, '.env'), required: false }] : named.map((one) => ({ path: resolvePath(one.text, one.place, undefined), required: true, asked: one.place }));
  const own = await readEnvFiles(envFiles, loading.lookup, loading.report);
  return loadFiles(files, baseDir, { ...loading, lookup: (name) => loading.lookup(name) ?? own.get(name) }, first.place);
}

function textsOf(node: TreeNode | undefined): { readonly text: string; readonly place: TreePlace }[] {
  if (node === undefined || node.kind === 'map') return [];
  return (node.kind === 'list' ? node.items : [node]).flatMap((item) => (item.kind === 'scalar' && typeof item.value === 'string' ? [{ text: item.value, place: item.place }] : []));
}

/** Both projects in one, or an error for each name that they share. */
function joinProjects(own: MapNode, included: MapNode, place: TreePlace, loading: Loading): MapNode {
  const entries = new Map(own.entries);
  for (const section of sections) {
    const theirs = included.entries.get(section);
    if (theirs?.value.kind !== 'map') continue;
    const ours = entries.get(section);
    const merged = new Map<string, MapEntry>(ours?.value.kind === 'map' ? ours.value.entries : []);
    for (const [name, entry] of theirs.value.entries) {
      const there = merged.get(name);
      if (there !== undefined && !isDeepStrictEqual(plain(there.value), plain(entry.value))) {
        loading.report.error(there.key, 'compose.includeConflict', `${section}.${name} is defined here and in the included ${entry.key.file}:${entry.key.line}`, 'give one of them another name, or change it in an override file');
      } else if (there === undefined) merged.set(name, entry);
    }
    entries.set(section, { key: ours?.key ?? theirs.key, value: map(merged, ours?.value.place ?? place) });
  }
  return map(entries, own.place, own.tag);
}
