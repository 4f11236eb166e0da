/**
 * Reads YAML text into trees with places: one for each document in it. The text is a stranger's: its size,
 * depth and the number of nodes after expanding aliases are limited, keys that JavaScript would take for
 * its own are refused, and what YAML leaves open (duplicate keys, unknown tags) is an error.
 */
import { LineCounter, isAlias, isMap, isScalar, isSeq, parseAllDocuments, type Document, type Node, type Pair, type Scalar } from 'yaml';
import type { Report } from '../report.ts';
import { list, map, scalar, type ListNode, type MapEntry, type MapNode, type MergeTag, type SourceFile, type TreeNode, type TreePlace } from './tree.ts';

export const yamlLimits = { bytes: 1024 * 1024, nodes: 50_000, depth: 64, aliases: 2_000, documents: 32 } as const;

const forbiddenKeys: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
const plainTags: ReadonlySet<string> = new Set(['str', 'int', 'float', 'bool', 'null', 'map', 'seq'].map((name) => `tag:yaml.org,2002:${name}`));

/** Only what is wrong at once is reported; a document that cannot be read at all is left out. */
export function readYaml(bytes: Uint8Array, source: SourceFile, report: Report): TreeNode[] {
  const start: TreePlace = { file: source.path, line: 1, column: 1, source };
  const text = decode(bytes, start, report);
  if (text === undefined || !checkText(text, start, report)) return [];
  const lines = new LineCounter();
  let documents: readonly Document.Parsed[];
  try {
    documents = [...parseAllDocuments(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false, logLevel: 'silent', version: '1.2', schema: 'core', merge: false, customTags: [] })];
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
    report.error(start, 'compose.tooDeep', `nested deeper than ${yamlLimits.depth} levels`);
    return [];
  }
  if (documents.length > yamlLimits.documents) {
    report.error(start, 'compose.tooLarge', `holds ${documents.length} documents; at most ${yamlLimits.documents} are read`);
    return [];
  }
  return documents.flatMap((document) => new Reading(document, lines, source, report).read());
}

function decode(bytes: Uint8Array, start: TreePlace, report: Report): string | undefined {
  if (bytes.length > yamlLimits.bytes) {
    report.error(start, 'compose.tooLarge', `is ${bytes.length} bytes long; at most ${yamlLimits.bytes} are read`);
    return undefined;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    report.error(start, 'compose.notText', 'is not UTF-8 text', 'save it as UTF-8');
    return undefined;
  }
}

/** Control characters, and nesting so deep that the parser itself would suffer. */
function checkText(text: string, start: TreePlace, report: Report): boolean {
  // eslint-disable-next-line no-control-regex
  const control = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.exec(text);
  if (control !== null) {
    const before = text.slice(0, control.index).split('\n');
    const code = control[0].charCodeAt(0).toString(16).padStart(2, '0');
    report.error({ ...start, line: before.length, column: (before.at(-1) as string).length + 1 }, 'compose.notText', `holds the control character \\x${code}`, 'take it out');
    return false;
  }
  let opened = 0;
  let index = 0;
  for (const { 0: bracket, index: at } of text.matchAll(/[[{\]}]/g)) {
    opened = Math.max(0, opened + (bracket === '[' || bracket === '{' ? 1 : -1));
    index = at;
    if (opened > 10 * yamlLimits.depth) break;
  }
  if (opened <= 10 * yamlLimits.depth) return true;
  const before = text.slice(0, index).split('\n');
  report.error({ ...start, line: before.length, column: (before.at(-1) as string).length + 1 }, 'compose.tooDeep', `nested deeper than ${yamlLimits.depth} levels`);
  return false;
}

/** Said once: the rest of the document is not read. */
class TooMuch extends Error {}

class Reading {
  readonly #anchors = new Map<string, { node: Node; tree?: TreeNode }>();
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  readonly #source: SourceFile;
  readonly #report: Report;
  #aliases = 0;

  constructor(document: Document.Parsed, lines: LineCounter, source: SourceFile, report: Report) {
    this.#document = document;
    this.#lines = lines;
    this.#source = source;
    this.#report = report;
  }

  read(): TreeNode[] {
    const { errors, contents } = this.#document;
    // What follows the first is its consequence more often than not.
    for (const error of errors.slice(0, 1)) this.#report.error(this.#at(error.pos[0]), 'compose.notYaml', yamlMessage(error.message), yamlAdvice(error.code));
    if (errors.length > 0 || contents === null) return [];
    try {
      return [this.#node(contents, 0)];
    } catch (thrown) {
      if (thrown instanceof TooMuch) return [];
      throw thrown;
    }
  }

  #at(offset: number): TreePlace {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#source.path, line: Math.max(1, line), column: Math.max(1, col), source: this.#source };
  }

  #placeOf(node: Node): TreePlace {
    return this.#at(node.range?.[0] ?? 0);
  }

  #give(place: TreePlace, code: string, message: string, advice = ''): never {
    this.#report.error(place, code, message, advice);
    throw new TooMuch();
  }

  #node(node: Node | null, depth: number, missing?: TreePlace): TreeNode {
    if (node === null) return scalar(null, missing ?? this.#at(0));
    const place = this.#placeOf(node);
    if (depth > yamlLimits.depth) this.#give(place, 'compose.tooDeep', `nested deeper than ${yamlLimits.depth} levels`);
    if (isAlias(node)) return this.#alias(node.source, place);
    const anchored = node as Node & { anchor?: string };
    const entry: { node: Node; tree?: TreeNode } = { node };
    if (anchored.anchor !== undefined) this.#anchors.set(anchored.anchor, entry);
    const tree = this.#fresh(node, depth, place);
    if (tree.weight > yamlLimits.nodes) this.#give(place, 'compose.tooLarge', `holds more than ${yamlLimits.nodes} values once its aliases are expanded`);
    entry.tree = tree;
    return tree;
  }

  #alias(name: string, place: TreePlace): TreeNode {
    this.#aliases += 1;
    if (this.#aliases > yamlLimits.aliases) this.#give(place, 'compose.tooLarge', `has more than ${yamlLimits.aliases} aliases`);
    const entry = this.#anchors.get(name);
    if (entry === undefined) this.#give(place, 'compose.notYaml', `there is no anchor &${name} above this`);
    if (entry.tree === undefined) this.#give(place, 'compose.notYaml', `*${name} stands inside what it names`);
    return entry.tree;
  }

  #fresh(node: Node, depth: number, place: TreePlace): TreeNode {
    const tag = this.#tag(node, place);
    if (isMap(node)) return this.#map(node.items as Pair<Node, Node | null>[], depth, place, tag);
    if (isSeq(node)) return this.#list(node.items as (Node | null)[], depth, place, tag);
    if (!isScalar(node)) return scalar(null, place);
    const value = tag === undefined ? this.#scalar(node, place) : ((node.source ?? '') === '' || node.source === 'null' || node.source === '~' ? null : node.source ?? null);
    return { ...scalar(value, place), ...(tag === undefined ? {} : { tag }) };
  }

  #tag(node: Node, place: TreePlace): MergeTag | undefined {
    if (node.tag === undefined || plainTags.has(node.tag)) return undefined;
    if (node.tag === '!reset') return 'reset';
    if (node.tag === '!override') return 'override';
    if (node.tag !== '!') this.#report.error(place, 'compose.notYaml', `unknown tag ${node.tag}`, 'only !reset and !override are known');
    return undefined;
  }

  #list(items: readonly (Node | null)[], depth: number, place: TreePlace, tag: MergeTag | undefined): ListNode {
    const children: TreeNode[] = [];
    let weight = 0;
    for (const item of items) {
      const tree = this.#node(item, depth + 1, place);
      weight += tree.weight;
      if (weight > yamlLimits.nodes) this.#give(place, 'compose.tooLarge', `holds more than ${yamlLimits.nodes} values once its aliases are expanded`);
      children.push(tree);
    }
    return list(children, place, tag);
  }

  #map(pairs: readonly Pair<Node, Node | null>[], depth: number, place: TreePlace, tag: MergeTag | undefined): MapNode {
    const entries = new Map<string, MapEntry>();
    const merged: TreeNode[] = [];
    for (const pair of pairs) {
      const key = this.#placeOf(pair.key);
      if (!isScalar(pair.key)) this.#give(key, 'compose.wrongType', 'a key must be a text');
      const name = pair.key.source ?? '';
      if (name === '<<' && pair.key.type === 'PLAIN') merged.push(this.#node(pair.value, depth + 1, key));
      else if (forbiddenKeys.has(name)) this.#report.error(key, 'compose.unknownKey', `a key may not be called ${name}`);
      else this.#entry(entries, name, { key, value: this.#node(pair.value, depth + 1, key) });
    }
    return map(this.#withMerged(entries, merged), place, tag);
  }

  #entry(entries: Map<string, MapEntry>, name: string, entry: MapEntry): void {
    const first = entries.get(name);
    if (first === undefined) entries.set(name, entry);
    else this.#report.error(entry.key, 'compose.duplicateKey', `${name} stands here twice; first in line ${first.key.line}`, 'keep one of them');
  }

  /** `<<`: what stands in the map itself wins, then the earlier of the merged ones. */
  #withMerged(entries: ReadonlyMap<string, MapEntry>, merged: readonly TreeNode[]): ReadonlyMap<string, MapEntry> {
    if (merged.length === 0) return entries;
    const all = new Map(entries);
    for (const source of merged.flatMap((node) => (node.kind === 'list' ? node.items : [node]))) {
      if (source.kind !== 'map') this.#report.error(source.place, 'compose.wrongType', '<< must name a mapping, or a list of mappings');
      else for (const [name, entry] of source.entries) if (!all.has(name)) all.set(name, entry);
    }
    return all;
  }

  #scalar(node: Scalar, place: TreePlace): string | number | boolean | null {
    const { value, source } = node;
    if (typeof value === 'string' || typeof value === 'boolean' || value === null) return value;
    if (typeof value !== 'number') { this.#report.error(place, 'compose.wrongType', 'is neither text, number, boolean nor empty'); return null; }
    // As Docker Compose reads it: 0440 is octal, whatever YAML 1.2 says. A number that JavaScript cannot hold stays text.
    if (source !== undefined && /^0[0-7]+$/.test(source)) return Number.parseInt(source, 8);
    if (source !== undefined && Number.isInteger(value) && !Number.isSafeInteger(value)) return source;
    return Number.isFinite(value) ? value : source ?? String(value);
  }
}

const yamlMessage = (text: string): string => text.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? text;

function yamlAdvice(code: string): string {
  if (code === 'TAB_AS_INDENT') return 'indent with spaces';
  if (code === 'BAD_INDENT') return 'bring it in line with the lines above';
  return 'check quotes and indentation here: a text that holds { } [ ] : or # may need quotes';
}
