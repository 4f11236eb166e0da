/** What a file imports: static, type-only, re-exported and dynamic, as written and as a file of the project. */
import { posix } from 'node:path';
import { parseSync } from 'oxc-parser';

export interface Import {
  /** As written: `#store`, `../x.ts`, `node:fs`. */
  readonly name: string;
  /** File of the project it leads to; undefined for node: and packages. */
  readonly target: string | undefined;
  readonly typeOnly: boolean;
}

type Written = Pick<Import, 'name' | 'typeOnly'>;

/** Guards ask again for each offence planted, and all files but that one are as they were. */
const read = new Map<string, { readonly text: string; readonly written: readonly Written[] }>();

export function importsOf(file: string, text: string, doors: Readonly<Record<string, string>>): readonly Import[] {
  const known = read.get(file);
  const written = known?.text === text ? known.written : readImports(file, text);
  if (written !== known?.written) read.set(file, { text, written });
  return written.map(({ name, typeOnly }) => ({ name, typeOnly, target: targetOf(file, name, doors) }));
}

function readImports(file: string, text: string): readonly Written[] {
  const { module } = parseSync(file, text);
  const found: Written[] = module.staticImports.map((one) => ({ name: one.moduleRequest.value, typeOnly: one.entries.length > 0 && one.entries.every((entry) => entry.isType) }));
  for (const { entries } of module.staticExports) for (const entry of entries) if (entry.moduleRequest !== null) found.push({ name: entry.moduleRequest.value, typeOnly: entry.isType });
  for (const { moduleRequest } of module.dynamicImports) {
    const written = text.slice(moduleRequest.start, moduleRequest.end);
    if (/^['"`][^$]*['"`]$/.test(written)) found.push({ name: written.slice(1, -1), typeOnly: false });
  }
  return found;
}

function targetOf(file: string, name: string, doors: Readonly<Record<string, string>>): string | undefined {
  if (name.startsWith('#')) return doors[name]?.replace(/^\.\//, '') ?? `unknown door ${name}`;
  if (name.startsWith('.')) return posix.normalize(posix.join(posix.dirname(file), name));
  return undefined;
}

export const doorsOf = (packageJson: string): Readonly<Record<string, string>> => (JSON.parse(packageJson) as { imports: Record<string, string> }).imports;
