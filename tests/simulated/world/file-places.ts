/**
 * What a daemon does to files has places to die at, as its other effects have: before and after each call that makes, moves
 * or removes a file below a folder. A dead daemon reaches no file any more, so what it would still clear away stays.
 */
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { sep } from 'node:path';
import { failpoint } from '#base';

const effects = ['link', 'mkdir', 'open', 'rename', 'rm', 'writeFile'] as const;

/** Only what a daemon does: of nobody else crash points are told. @returns puts it back */
export function fileEffectsArePlaces(isBelow: (path: string) => boolean): () => void {
  const originals = new Map(effects.map((name) => [name, fs[name]]));
  for (const [name, original] of originals) {
    Reflect.set(fs, name, async (...args: readonly unknown[]): Promise<unknown> => {
      const [path, flags] = args;
      const changes = typeof path === 'string' && isBelow(path) && (name !== 'open' || flags !== 'r');
      if (changes) failpoint(`files.${name}.before`);
      const result: unknown = await Reflect.apply(original, fs, args);
      if (changes && name !== 'open') failpoint(`files.${name}.after`); // what was opened must be closed
      return result;
    });
  }
  syncBuiltinESMExports();
  return () => {
    for (const [name, original] of originals) Reflect.set(fs, name, original);
    syncBuiltinESMExports();
  };
}

export const isIn = (folder: string, names: readonly string[]) => (path: string): boolean => names.some((name) => path.startsWith(`${folder}${sep}${name}${sep}`));
