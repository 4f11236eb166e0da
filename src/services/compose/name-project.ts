/** The app's name: an RFC 1123 label, from the command line, the environment, the file, or the folder. */
import { basename } from 'node:path';
import { StrataError } from '#base';
import type { Report } from './report.ts';
import { interpolate, type Lookup } from './yaml/interpolate.ts';
import { child, type TreeNode, type TreePlace } from './yaml/tree.ts';

export interface NameSources {
  /** As asked for, or COMPOSE_PROJECT_NAME. */
  readonly asked: string | undefined;
  /** All documents, before variables are put in: the name itself is one of the variables. */
  readonly documents: readonly TreeNode[];
  readonly workingDir: string;
  readonly lookup: Lookup;
}

export function nameProject({ asked, documents, workingDir, lookup }: NameSources, report: Report): string {
  if (asked !== undefined && asked !== '') return fromCaller(asked);
  for (const document of documents.toReversed()) {
    const node = child(document, 'name');
    if (node?.kind === 'scalar' && typeof node.value === 'string') return fromFile(interpolate(node.value, lookup).text, node.place, report);
  }
  return fromFolder(workingDir);
}

function fromCaller(name: string): string {
  const label = asLabel(name);
  if (label !== undefined) return label;
  throw new StrataError(`${JSON.stringify(name.slice(0, 80))} cannot be the name of an app`, { code: 'compose.badName', kind: 'invalid', advice: 'use lower-case letters, digits and hyphens, at most 63' });
}

function fromFile(name: string, place: TreePlace, report: Report): string {
  const label = asLabel(name);
  if (label === undefined) report.error(place, 'compose.badName', `${JSON.stringify(name.slice(0, 80))} cannot be the name of an app`, 'use lower-case letters, digits and hyphens, at most 63');
  else if (label !== name) report.warn(place, 'compose.nameChanged', `the app is called ${label}: a host name has no underscore`, `write name: ${label}`);
  return label ?? 'unnamed';
}

function fromFolder(workingDir: string): string {
  const label = asLabel(basename(workingDir).toLowerCase().replaceAll(/[^a-z0-9_-]/g, '').replace(/^[-_]+/, '').slice(0, 63));
  if (label !== undefined) return label;
  throw new StrataError(`no name for the app can be made of the folder ${workingDir}`, { code: 'compose.badName', kind: 'invalid', advice: 'add `name:` to the file, or use -p' });
}

/** What Docker Compose takes as a name, made a label; undefined for anything else. */
function asLabel(name: string): string | undefined {
  if (!/^[a-z0-9][a-z0-9_-]{0,62}$/.test(name)) return undefined;
  return name.replaceAll('_', '-').replace(/-+$/, '');
}
