/**
 * Lays one Compose tree over another by the specification's rules: mappings are merged, lists appended; some
 * keys are replaced, some lists have entries of one kind that may stand only once; short forms are made
 * mappings first. `!reset` takes away, `!override` replaces.
 */
import { parsePortMapping } from '../values/parse-port.ts';
import { parseMount } from '../values/parse-mount.ts';
import { list, map, plain, scalar, type ListNode, type MapEntry, type MapNode, type TreeNode } from './tree.ts';

/** How the parts at a path are merged; a path names keys, `*` any. */
type Rule =
  | 'replace'
  /** NAME=value texts become a mapping. */
  | 'pairs'
  /** A list of names becomes a mapping of them. */
  | 'names'
  /** A single text becomes a list. */
  | 'list'
  /** A text becomes {context: text}. */
  | 'build'
  | 'logging'
  /** A list in which what has the same key stands once. */
  | { readonly unique: (node: TreeNode) => string | undefined };

const service = 'services.*';
const rules: Readonly<Record<string, Rule>> = {
  [`${service}.command`]: 'replace', [`${service}.entrypoint`]: 'replace', [`${service}.healthcheck.test`]: 'replace',
  [`${service}.environment`]: 'pairs', [`${service}.labels`]: 'pairs', [`${service}.sysctls`]: 'pairs', [`${service}.annotations`]: 'pairs', [`${service}.deploy.labels`]: 'pairs',
  [`${service}.build.args`]: 'pairs', [`${service}.build.labels`]: 'pairs', 'volumes.*.labels': 'pairs', 'networks.*.labels': 'pairs', 'configs.*.labels': 'pairs', 'secrets.*.labels': 'pairs',
  [`${service}.extra_hosts`]: 'list', [`${service}.dns`]: 'list', [`${service}.dns_search`]: 'list', [`${service}.tmpfs`]: 'list', [`${service}.env_file`]: 'list', [`${service}.label_file`]: 'list',
  [`${service}.depends_on`]: 'names', [`${service}.networks`]: 'names', [`${service}.models`]: 'names',
  [`${service}.build`]: 'build', [`${service}.logging`]: 'logging',
  [`${service}.ports`]: { unique: portKey }, [`${service}.volumes`]: { unique: mountKey }, [`${service}.secrets`]: { unique: grantKey }, [`${service}.configs`]: { unique: grantKey },
  ...Object.fromEntries(['cap_add', 'cap_drop', 'expose', 'profiles', 'group_add', 'links', 'security_opt', 'devices'].map((key) => [`${service}.${key}`, { unique: textKey }])),
};

/** Health is one test or another, never two. */
const oneOf: readonly string[] = [`${service}.x-strata.health`];

export function mergeTrees(base: TreeNode, over: TreeNode, path: readonly string[] = []): TreeNode {
  const pattern = patternOf(path);
  const rule = Object.hasOwn(rules, pattern) ? rules[pattern] : undefined;
  if (over.tag === 'override' || rule === 'replace' || oneOf.includes(pattern)) return withoutTag(over);
  const [below, above] = [shaped(base, rule), shaped(over, rule)];
  if (below.kind === 'map' && above.kind === 'map') return rule === 'logging' && driverOf(below) !== driverOf(above) ? above : mergeMaps(below, above, path);
  if (below.kind === 'list' && above.kind === 'list') return append(below, above, rule);
  // A mapping that is given nothing stays as it is: `volumes: {data: }` adds nothing.
  if (above.kind === 'scalar' && above.value === null && below.kind !== 'scalar') return below;
  return withoutTag(above);
}

/** Takes away what `!reset` marks, also where there was nothing to take. */
export function settleTags(node: TreeNode): TreeNode {
  if (node.kind === 'list') return list(node.items.filter((item) => item.tag !== 'reset').map(settleTags), node.place);
  if (node.kind === 'map') {
    return map(new Map([...node.entries].flatMap(([key, entry]): [string, MapEntry][] => (entry.value.tag === 'reset' ? [] : [[key, { key: entry.key, value: settleTags(entry.value) }]]))), node.place);
  }
  return withoutTag(node);
}

function withoutTag(node: TreeNode): TreeNode {
  if (node.tag === undefined) return node;
  const { tag: _tag, ...rest } = node;
  return rest;
}

/** The top level's names, and those of a service, are the user's own. */
function patternOf(path: readonly string[]): string {
  return path.length < 2 ? path.join('.') : [path[0], '*', ...path.slice(2)].join('.');
}

function mergeMaps(base: MapNode, over: MapNode, path: readonly string[]): MapNode {
  const entries = new Map(base.entries);
  for (const [key, entry] of over.entries) {
    const below = entries.get(key);
    if (entry.value.tag === 'reset') entries.delete(key);
    else if (below === undefined) entries.set(key, entry);
    else entries.set(key, { key: entry.key, value: mergeTrees(below.value, entry.value, [...path, key]) });
  }
  return map(entries, over.place);
}

function append(base: ListNode, over: ListNode, rule: Rule | undefined): ListNode {
  const items = [...base.items, ...over.items];
  if (typeof rule !== 'object') return list(items, over.place);
  const kept = new Map<string, TreeNode>();
  for (const [index, item] of items.entries()) kept.set(rule.unique(item) ?? `#${index}`, item);
  return list([...kept.values()], over.place);
}

function shaped(node: TreeNode, rule: Rule | undefined): TreeNode {
  if (rule === 'pairs' && node.kind === 'list') return pairsToMap(node);
  if (rule === 'names' && node.kind === 'list') return namesToMap(node);
  if (rule === 'build' && node.kind === 'scalar' && typeof node.value === 'string') return map(new Map([['context', { key: node.place, value: node }]]), node.place);
  if (rule === 'list' && node.kind === 'scalar' && node.value !== null) return list([node], node.place);
  if (rule === 'list' && node.kind === 'map') return list(hostTexts(node), node.place);
  return node;
}

function pairsToMap(node: ListNode): TreeNode {
  const entries = new Map<string, MapEntry>();
  for (const item of node.items) {
    if (item.kind !== 'scalar' || typeof item.value !== 'string') return node;
    const at = item.value.indexOf('=');
    const name = at < 0 ? item.value : item.value.slice(0, at);
    entries.set(name, { key: item.place, value: scalar(at < 0 ? null : item.value.slice(at + 1), item.place) });
  }
  return map(entries, node.place);
}

function namesToMap(node: ListNode): TreeNode {
  const entries = new Map<string, MapEntry>();
  for (const item of node.items) {
    if (item.kind !== 'scalar' || typeof item.value !== 'string') return node;
    entries.set(item.value, { key: item.place, value: map(new Map(), item.place) });
  }
  return map(entries, node.place);
}

/** extra_hosts as a mapping: each name with each of its addresses. */
function hostTexts(node: MapNode): TreeNode[] {
  return [...node.entries].flatMap(([name, { value }]) => (value.kind === 'list' ? value.items : [value]).map((address) => scalar(`${name}=${String(plain(address))}`, address.place)));
}

function driverOf(node: MapNode): unknown {
  const driver = node.entries.get('driver')?.value;
  return driver === undefined ? undefined : plain(driver);
}

function textKey(node: TreeNode): string | undefined {
  return node.kind === 'scalar' ? String(node.value) : undefined;
}

function portKey(node: TreeNode): string | undefined {
  if (node.kind === 'map') {
    const part = (key: string, usual: string): string => String(plain(node.entries.get(key)?.value ?? scalar(usual, node.place)));
    return [part('host_ip', ''), part('published', ''), part('target', ''), part('protocol', 'tcp')].join(' ');
  }
  if (node.kind !== 'scalar') return undefined;
  const mapping = parsePortMapping(String(node.value));
  if (mapping === undefined) return undefined;
  const range = ({ first, last }: { first: number; last: number }): string => (first === last ? String(first) : `${first}-${last}`);
  return [mapping.hostAddress ?? '', mapping.published === undefined ? '' : range(mapping.published), range(mapping.target), mapping.protocol].join(' ');
}

function mountKey(node: TreeNode): string | undefined {
  if (node.kind === 'map') return textKey(node.entries.get('target')?.value ?? node);
  return node.kind === 'scalar' ? parseMount(String(node.value))?.target : undefined;
}

function grantKey(node: TreeNode): string | undefined {
  if (node.kind === 'scalar') return String(node.value);
  if (node.kind !== 'map') return undefined;
  return textKey(node.entries.get('target')?.value ?? node.entries.get('source')?.value ?? node);
}
