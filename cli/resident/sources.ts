/** What the resident's own code looked like when it was loaded, so that an upgrade is not answered by what was there before. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Changes where a source under one of the folders, or one of the files, does. Sixty files take less than a millisecond. */
export function fingerprint(folders: readonly string[], files: readonly string[]): string {
  const sources = folders.flatMap((folder) => readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts')).map((name) => join(folder, name)));
  return [...sources, ...files].map((path) => {
    const about = statSync(path, { throwIfNoEntry: false });
    return `${path} ${about?.ino} ${about?.size} ${about?.mtimeMs}`;
  }).join('\n');
}
