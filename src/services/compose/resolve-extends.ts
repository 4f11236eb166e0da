/** `extends`: a service begins as another one, of this file or another, and what it says itself is laid over that. */
import { basename } from 'node:path';
import { loadDocuments, ownSource, resolvePath, type Loading } from './load-documents.ts';
import { mergeTrees } from './yaml/merge-trees.ts';
import { child, map, withEntry, withoutEntry, type MapEntry, type MapNode, type TreeNode, type TreePlace } from './yaml/tree.ts';

const mostSteps = 32;

/** The document with every `extends` carried out. */
export async function resolveExtends(document: MapNode, loading: Loading): Promise<MapNode> {
  const services = document.entries.get('services');
  if (services?.value.kind !== 'map') return document;
  const entries = new Map<string, MapEntry>();
  for (const [name, entry] of services.value.entries) {
    entries.set(name, { key: entry.key, value: await extended(entry.value, name, services.value, loading, [`${entry.key.file}#${name}`]) });
  }
  return withEntry(document, 'services', { key: services.key, value: map(entries, services.value.place, services.value.tag) });
}

interface Wanted { readonly service: string; readonly file: string | undefined; readonly place: TreePlace }

/** @param chain services being extended, `file#name`, so that a cycle is seen */
async function extended(service: TreeNode, name: string, siblings: MapNode, loading: Loading, chain: readonly string[]): Promise<TreeNode> {
  const wanted = wantedBy(service);
  if (wanted === undefined || service.kind !== 'map') return service;
  const own = withoutEntry(service, 'extends');
  const home = await siblingsOf(wanted, siblings, loading);
  const entry = home?.entries.get(wanted.service);
  if (home === undefined) return own;
  if (entry === undefined) {
    loading.report.error(wanted.place, 'compose.unknownService', `service ${name} extends ${wanted.service}, which ${wanted.file === undefined ? 'this file' : basename(wanted.file)} does not have`);
    return own;
  }
  const key = `${entry.key.file}#${wanted.service}`;
  if (chain.includes(key)) {
    loading.report.error(wanted.place, 'compose.cycle', `services extend each other: ${[...chain.slice(chain.indexOf(key)), key].map((one) => one.slice(one.lastIndexOf('#') + 1)).join(' → ')}`);
    return own;
  }
  if (chain.length >= mostSteps) {
    loading.report.error(wanted.place, 'compose.tooDeep', `services extend each other over more than ${mostSteps} steps`);
    return own;
  }
  const base = await extended(entry.value, wanted.service, home, loading, [...chain, key]);
  return mergeTrees(base, own, ['services', name]);
}

function wantedBy(service: TreeNode): Wanted | undefined {
  const asked = child(service, 'extends');
  if (asked === undefined) return undefined;
  if (asked.kind === 'scalar') return typeof asked.value === 'string' ? { service: asked.value, file: undefined, place: asked.place } : undefined;
  const [name, file] = [child(asked, 'service'), child(asked, 'file')];
  if (name?.kind !== 'scalar' || typeof name.value !== 'string') return undefined;
  if (file?.kind === 'scalar' && typeof file.value === 'string') return { service: name.value, file: resolvePath(file.value, file.place, undefined), place: file.place };
  return { service: name.value, file: undefined, place: name.place };
}

/** The services among which the wanted one is looked for; undefined where its file could not be read. */
async function siblingsOf(wanted: Wanted, siblings: MapNode, loading: Loading): Promise<MapNode | undefined> {
  if (wanted.file === undefined) return siblings;
  const documents = await loadDocuments(ownSource(wanted.file), loading, wanted.place);
  const [first, ...rest] = documents.map((document) => child(document, 'services')).filter((one): one is MapNode => one?.kind === 'map');
  return first === undefined ? undefined : (rest.reduce<TreeNode>((base, over) => mergeTrees(base, over, ['services']), first) as MapNode);
}
