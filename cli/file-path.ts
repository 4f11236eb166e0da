/** A file that was named on the command line, as an absolute path. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { UsageError } from './verb.ts';

/** @param subject what wants the file: `--disk from`. @throws UsageError for an empty name, which would mean the working folder, and for a folder */
export function filePath(subject: string, text: string, cwd: string): string {
  if (text === '') throw new UsageError(`${subject} wants a file, not an empty name`);
  const path = resolve(cwd, text);
  if (text.endsWith('/') || isFolder(path)) throw new UsageError(`${subject} wants a file; ${path} is a folder`);
  return path;
}

export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
