/** What the functions of this folder share: the service as written, where its parts stand, and where to say what is wrong. */
import type { Report } from '../report.ts';
import { dotted } from '../schema/check-tree.ts';
import type { ConfigSource, NetworkSource, VolumeSource } from '../schema/compose-schema.ts';
import type { ServiceSource } from '../schema/service-schema.ts';
import { parseBoolean } from '../values/parse-boolean.ts';
import { parseBytes } from '../values/parse-bytes.ts';
import { parseDuration } from '../values/parse-duration.ts';
import { splitWords } from '../values/split-words.ts';
import type { Lookup } from '../yaml/interpolate.ts';
import { keyPlace, nearest, type MapNode, type TreeNode, type TreePath, type TreePlace } from '../yaml/tree.ts';

/** The project around the services: its own parts, by name. */
export interface ProjectReading {
  readonly name: string;
  readonly workingDir: string;
  readonly lookup: Lookup;
  readonly home: string | undefined;
  readonly report: Report;
  readonly tree: MapNode;
  readonly volumes: ReadonlyMap<string, VolumeSource>;
  readonly networks: ReadonlyMap<string, NetworkSource>;
  readonly configs: ReadonlyMap<string, ConfigSource>;
  readonly secrets: ReadonlyMap<string, ConfigSource>;
}

export interface ServiceReading {
  readonly project: ProjectReading;
  readonly name: string;
  readonly source: ServiceSource;
  readonly tree: TreeNode;
}

export const placeAt = ({ tree }: ServiceReading, ...path: TreePath): TreePlace => nearest(tree, path).place;
export const keyAt = ({ tree }: ServiceReading, ...path: TreePath): TreePlace => keyPlace(tree, path);

/** Says that the value at a path is wrong. */
export function wrong(reading: ServiceReading, path: TreePath, code: string, message: string, advice = ''): void {
  const node = nearest(reading.tree, path);
  if (node.kind === 'scalar' && node.broken === true) return;
  reading.project.report.error(node.place, code, `${dotted(['services', reading.name, ...path])} ${message}`, advice);
}

export interface NumberRange { readonly whole?: boolean; readonly least?: number; readonly most?: number }

export function numberAt(reading: ServiceReading, value: number | string | undefined, range: NumberRange, ...path: TreePath): number | undefined {
  if (value === undefined) return undefined;
  const found = typeof value === 'number' ? value : /^[-+]?(\d+(\.\d*)?|\.\d+)$/.test(value.trim()) ? Number(value) : Number.NaN;
  const { whole = false, least = 0, most = Number.MAX_SAFE_INTEGER } = range;
  if (Number.isFinite(found) && found >= least && found <= most && (!whole || Number.isInteger(found))) return found;
  const limits = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  wrong(reading, path, 'compose.badNumber', `must be a ${whole ? 'whole ' : ''}number ${limits}, not ${JSON.stringify(value)}`);
  return undefined;
}

export function flagAt(reading: ServiceReading, value: boolean | string | undefined, ...path: TreePath): boolean | undefined {
  const found = parseBoolean(value);
  if (found === undefined && value !== undefined) wrong(reading, path, 'compose.wrongType', `must be true or false, not ${JSON.stringify(value)}`);
  return found;
}

export function bytesAt(reading: ServiceReading, value: number | string | undefined, ...path: TreePath): number | undefined {
  if (value === undefined) return undefined;
  const found = parseBytes(value);
  if (found === undefined) wrong(reading, path, 'compose.badSize', `must be a size, not ${JSON.stringify(value)}`, 'write bytes, or a number with k, m or g: 512m');
  return found;
}

export function durationAt(reading: ServiceReading, value: string | undefined, ...path: TreePath): number | undefined {
  if (value === undefined) return undefined;
  const found = parseDuration(value);
  if (found === undefined) wrong(reading, path, 'compose.badDuration', `must be a duration, not ${JSON.stringify(value)}`, 'write a number with a unit: 1m30s, 500ms');
  return found;
}

/** File modes: octal where written as text; a number was read as YAML says (0440 is octal there too). */
export function modeAt(reading: ServiceReading, value: number | string | undefined, ...path: TreePath): number | undefined {
  if (value === undefined) return undefined;
  const found = typeof value === 'number' ? value : /^(0o?)?[0-7]{1,5}$/.test(value) ? Number.parseInt(value.replace('o', ''), 8) : Number.NaN;
  if (Number.isInteger(found) && found >= 0 && found <= 0o7777) return found;
  wrong(reading, path, 'compose.badNumber', `must be a file mode, not ${JSON.stringify(value)}`, 'write it in octal: 0440');
  return undefined;
}

/** An absolute path inside the container, tidied; undefined where it is none, which has been said. */
export function containerPathAt(reading: ServiceReading, value: string, ...path: TreePath): string | undefined {
  const parts = value.split('/');
  if (value.startsWith('/') && !parts.includes('..') && !value.includes('\0') && value.length <= 4096) {
    const tidy = `/${parts.filter((part) => part !== '' && part !== '.').join('/')}`;
    if (tidy !== '/') return tidy;
  }
  wrong(reading, path, 'compose.badPath', `must be an absolute path inside the container, not ${JSON.stringify(value)}`);
  return undefined;
}

/** A command as words; null: none is written. */
export function wordsAt(reading: ServiceReading, written: string | readonly string[] | null | undefined, ...path: TreePath): readonly string[] | null {
  if (written === undefined || written === null) return null;
  if (typeof written !== 'string') return written;
  const split = splitWords(written);
  if ('words' in split) return split.words;
  wrong(reading, path, 'compose.badCommand', split.wrong, 'write a list: [sh, -c, "..."]');
  return [];
}

export const asList = <T>(value: T | readonly T[] | undefined): readonly T[] => (value === undefined ? [] : Array.isArray(value) ? value as readonly T[] : [value as T]);

/** NAME=value texts or a mapping, as pairs; null: named alone. */
export function pairsOf(value: Readonly<Record<string, string | number | boolean | null>> | readonly string[] | undefined): [string, string | null][] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return Object.entries(value).map(([name, one]) => [name, one === null ? null : String(one)]);
  return (value as readonly string[]).map((pair) => {
    const at = pair.indexOf('=');
    return at < 0 ? [pair, null] : [pair.slice(0, at), pair.slice(at + 1)];
  });
}
