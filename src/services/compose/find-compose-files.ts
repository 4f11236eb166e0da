/** Which files make up a project, where none are named: the first kind that exists, with its override file. */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const names = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'] as const;
const overrideNames = ['compose.override.yml', 'compose.override.yaml', 'docker-compose.override.yml', 'docker-compose.override.yaml'] as const;

export interface FoundFiles {
  readonly workingDir: string;
  readonly files: readonly string[];
  /** Others that would have been taken, had the first not been there. */
  readonly passedOver: readonly string[];
}

/** Looks in the folder and then upward, as `docker compose` does. */
export async function findComposeFiles(start: string): Promise<FoundFiles | undefined> {
  for (let folder = start; ; folder = dirname(folder)) {
    const [file, ...passedOver] = await existing(folder, names);
    if (file !== undefined) {
      const [override] = await existing(folder, overrideNames);
      return { workingDir: folder, files: override === undefined ? [file] : [file, override], passedOver };
    }
    if (dirname(folder) === folder) return undefined;
  }
}

async function existing(folder: string, wanted: readonly string[]): Promise<string[]> {
  const there = await Promise.all(wanted.map((name) => isFile(join(folder, name))));
  return wanted.filter((_, index) => there[index]).map((name) => join(folder, name));
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then((found) => found.isFile(), () => false);
}
