/** The project's files as a value, so that a guard can be shown a copy with an offence planted in it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Path from the project's folder → text. */
export type Project = ReadonlyMap<string, string>;

export interface Finding {
  /** How many things the guard looked at; a guard that looked at nothing has found nothing. */
  readonly seen: number;
  readonly offences: readonly string[];
}

export interface Guard {
  readonly name: string;
  find(project: Project): Finding;
  /** Files that, added to the project (or put in place of one), must be refused. */
  readonly planted: Readonly<Record<string, string>>;
}

export const root = fileURLToPath(new URL('../..', import.meta.url));
const leftOut = new Set(['node_modules', '.git', '.types', 'coverage', 'dist', 'package-lock.json']);

export function readProject(folder = root): Project {
  const files = new Map<string, string>();
  const visit = (path: string): void => {
    for (const entry of readdirSync(join(folder, path), { withFileTypes: true })) {
      if (leftOut.has(entry.name)) continue;
      const inside = path === '' ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory()) visit(inside);
      else if (entry.isFile()) files.set(inside, readFileSync(join(folder, inside), 'utf8'));
    }
  };
  visit('');
  return files;
}

/** TypeScript of ours, without what is generated. */
export function sourcesOf(project: Project): [string, string][] {
  return [...project].filter(([file]) => /^(src|contract|client|cli|guest|tools|bench|tests)\/.*\.ts$/.test(file) && !file.endsWith('.d.ts'));
}

export const withPlanted = (project: Project, planted: Readonly<Record<string, string>>): Project => new Map([...project, ...Object.entries(planted)]);
