/** Reads one file of a project: its documents as trees, with variables in them, and held against the schema. */
import { dirname, resolve } from 'node:path';
import { readProjectFile } from './read-project-file.ts';
import type { Report } from './report.ts';
import { checkTree } from './schema/check-tree.ts';
import { composeSchema } from './schema/compose-schema.ts';
import type { Lookup } from './yaml/interpolate.ts';
import { interpolateTree, type TextBudget } from './yaml/interpolate-tree.ts';
import { readYaml, yamlLimits } from './yaml/read-yaml.ts';
import type { MapNode, SourceFile, TreeNode, TreePlace } from './yaml/tree.ts';

/** How files are read here: shared by all that one project brings in. */
export interface Loading {
  readonly report: Report;
  readonly lookup: Lookup;
  /** Files being read, outermost first: no file may bring itself in. */
  readonly chain: readonly string[];
  /** Every file that was read, in order. */
  readonly files: Set<string>;
  /** Read already, by path and folder; a file may be extended by many. */
  readonly cache: Map<string, readonly TreeNode[]>;
  readonly budget: TextBudget;
}

/** The most files one project may be made of. */
const mostFiles = 64;

/** @param asked where the file was asked for; undefined: on the command line */
export async function readDocuments(source: SourceFile, loading: Loading, asked?: TreePlace): Promise<readonly TreeNode[]> {
  const key = `${source.path}\0${source.baseDir}`;
  const known = loading.cache.get(key);
  if (known !== undefined) return known;
  const place = asked ?? { file: source.path, line: 1, column: 1, source };
  loading.files.add(source.path);
  if (loading.files.size > mostFiles) {
    loading.report.error(place, 'compose.tooLarge', `the project is made of more than ${mostFiles} files`);
    return [];
  }
  const read = await readProjectFile(source.path, yamlLimits.bytes);
  if (!('bytes' in read)) loading.report.error(place, 'compose.fileMissing', `${source.path} cannot be read: ${read.why}`, 'check the path');
  const documents = 'bytes' in read ? readYaml(read.bytes, source, loading.report) : [];
  loading.cache.set(key, documents);
  return documents;
}

/** Each document with variables in it and checked, that is to say reported where wrong. */
export async function loadDocuments(source: SourceFile, loading: Loading, asked?: TreePlace): Promise<MapNode[]> {
  const documents = await readDocuments(source, loading, asked);
  return documents.flatMap((document) => {
    const tree = interpolateTree(document, loading.lookup, loading.report, loading.budget);
    checkTree(composeSchema, tree, loading.report);
    return tree.kind === 'map' ? [tree] : [];
  });
}

/** A path as written in a file, made absolute. */
export function resolvePath(path: string, place: TreePlace, home: string | undefined): string {
  if (home !== undefined && (path === '~' || path.startsWith('~/'))) return resolve(home, path.slice(2));
  return resolve(place.source.baseDir, path);
}

/** The file a file names is a project, or part of one, of its own folder. */
export const ownSource = (path: string): SourceFile => ({ path, baseDir: dirname(path) });
