/** Which app a verb means: -p, else the Compose file given, in the folder given, or in the working folder. */
import { existsSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { ClientProblem, type Client } from '#client';
import type { Context } from './context.ts';
import { filePath, isFolder } from './file-path.ts';
import { UsageError, type Options } from './verb.ts';

export const composeFileNames = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'] as const;

export interface ComposeSource {
  readonly workingDir: string;
  readonly files: string[];
  readonly envFiles: string[];
  readonly profiles: string[];
  readonly env: Record<string, string>;
}

const hasComposeFile = (folder: string): boolean => composeFileNames.some((name) => existsSync(resolve(folder, name)));

/** Takes a folder off the front of the arguments: `.`, a path with a slash, or a folder with a Compose file where here is none. */
export function splitFolder(args: readonly string[], cwd: string): { readonly folder: string | undefined; readonly rest: readonly string[] } {
  const [first, ...rest] = args;
  if (first === undefined) return { folder: undefined, rest: args };
  const path = resolve(cwd, first);
  const looksLikePath = first.includes('/') || first === '.' || first === '..';
  if (looksLikePath && !isFolder(path)) throw new UsageError(`there is no folder ${first}`);
  if (looksLikePath || (!hasComposeFile(cwd) && isFolder(path) && hasComposeFile(path))) return { folder: path, rest };
  return { folder: undefined, rest: args };
}

/** Where the Compose project is, with files, profiles and variables; undefined where there is no Compose file. */
export function findCompose(context: Context, options: Options, folder?: string): ComposeSource | undefined {
  const named = options.many('file').length > 0 ? options.many('file') : (context.env['COMPOSE_FILE'] ?? '').split(':').filter((one) => one !== '');
  const files = named.map((file) => filePath('--file', file, context.cwd));
  for (const file of files) if (!existsSync(file)) throw new UsageError(`there is no file ${file}`);
  const profiles = options.many('profile').length > 0 ? options.many('profile') : (context.env['COMPOSE_PROFILES'] ?? '').split(',').filter((one) => one !== '');
  const workingDir = folder ?? (files[0] === undefined ? searchUpward(context.cwd) : dirname(files[0]));
  if (workingDir === undefined || (files.length === 0 && !hasComposeFile(workingDir))) return undefined;
  return {
    workingDir, files, profiles: [...profiles],
    envFiles: options.many('envFile').map((file) => filePath('--env-file', file, context.cwd)),
    env: Object.fromEntries(Object.entries(context.env).filter((pair): pair is [string, string] => pair[1] !== undefined && pair[0] !== '')),
  };
}

/** The nearest folder upward that has a Compose file, as compose looks for it. */
function searchUpward(start: string): string | undefined {
  for (let folder = start; ; folder = dirname(folder)) {
    if (hasComposeFile(folder)) return folder;
    if (dirname(folder) === folder) return undefined;
  }
}

/** @param services what may have been meant as a folder. @throws UsageError where there is no Compose file */
export function requireCompose(context: Context, options: Options, folder?: string, services: readonly string[] = []): ComposeSource {
  const found = findCompose(context, options, folder);
  if (found !== undefined) return found;
  const [first] = services;
  const meant = first === undefined ? '' : `, and ${first} is no folder with one`;
  throw new UsageError(`there is no Compose file in ${folder ?? context.cwd}${meant}`, `write a ${composeFileNames[0]}, or name one with --file`);
}

/** -p, or COMPOSE_PROJECT_NAME. */
export function namedApp(context: Context, options: Options): string | undefined {
  const name = options.text('projectName') ?? context.env['COMPOSE_PROJECT_NAME'];
  return name === '' ? undefined : name;
}

/** Name of the app at hand; undefined where nothing says which. */
export async function findAppName(client: Client, context: Context, options: Options, folder?: string): Promise<string | undefined> {
  const named = namedApp(context, options);
  if (named !== undefined) return named;
  const source = findCompose(context, options, folder);
  if (source === undefined) return undefined;
  // An app that is up is known by its folder, even if its file can no longer be read.
  const { items } = await client.call('listApps');
  const here = items.filter((app) => app.workingDir === source.workingDir && (source.files.length === 0 || sameFiles(app.files, source.files)));
  if (here.length === 1) return here[0]?.name;
  const usual = basename(source.workingDir).toLowerCase();
  if (here.some((app) => app.name === usual)) return usual;
  return (await client.call('resolveApp', { body: source })).name;
}

/** @throws UsageError where nothing says which app is meant */
export async function requireAppName(client: Client, context: Context, options: Options, folder?: string): Promise<string> {
  const name = await findAppName(client, context, options, folder);
  if (name !== undefined) return name;
  throw new UsageError('which app? There is no Compose file here', 'name it with -p, or go to its folder; `strata app ls` lists all');
}

const sameFiles = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((file, at) => file === b[at]);

/** Whether the error says that there is no such app. */
export const isNotFound = (error: unknown): boolean => error instanceof ClientProblem && error.status === 404;
