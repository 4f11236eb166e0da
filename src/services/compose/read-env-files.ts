/** Reads files of variables, the later ones winning. */
import { dirname } from 'node:path';
import { readProjectFile } from './read-project-file.ts';
import type { Report } from './report.ts';
import { parseDotenv } from './values/parse-dotenv.ts';
import type { Lookup } from './yaml/interpolate.ts';
import type { TreePlace } from './yaml/tree.ts';

export interface EnvFile {
  readonly path: string;
  readonly required: boolean;
  /** Where it was asked for; undefined: on the command line. */
  readonly asked?: TreePlace;
  /** Values as they stand: no quotes, no variables. */
  readonly raw?: boolean;
}

const mostBytes = 1024 * 1024;

/** Variables that are named alone and not set outside are left out. */
export async function readEnvFiles(files: readonly EnvFile[], lookup: Lookup, report: Report): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for (const file of files) {
    const start: TreePlace = { file: file.path, line: 1, column: 1, source: { path: file.path, baseDir: dirname(file.path) } };
    const read = await readProjectFile(file.path, mostBytes);
    if (!('bytes' in read)) {
      if (file.required || read.wrong !== 'missing') report.error(file.asked ?? start, 'compose.fileMissing', `${file.path} cannot be read: ${read.why}`, 'check the path, or say `required: false`');
      continue;
    }
    const text = read.bytes.toString('utf8');
    const found = file.raw === true ? parseRaw(text) : parseDotenv({ text, place: start, lookup, earlier: (name) => all.get(name), report });
    for (const [name, value] of found) if (value !== undefined) all.set(name, value);
  }
  return all;
}

function parseRaw(text: string): Map<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => line.includes('=') && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf('=')).trim(), line.slice(line.indexOf('=') + 1)]));
}
