/**
 * Reads a Compose project into an AppSpec:
 *
 *   find files ─► variables ─► read, interpolate, check, extend, include, merge ─► refuse what is not honoured
 *     ─► profiles and wanted services ─► each service in long form ─► checks across services ─► AppSpec
 *
 * Nothing is changed anywhere; everything wrong that can be found is found in one reading.
 */
import { join } from 'node:path';
import { StrataError, type Place } from '#base';
import type { AppSpec } from '../app.ts';
import { findComposeFiles } from './find-compose-files.ts';
import { readDocuments, type Loading } from './load-documents.ts';
import { loadFiles } from './load-files.ts';
import { nameProject } from './name-project.ts';
import { placeOfNeed, type UnmetNeed } from './place-of-need.ts';
import { readEnvFiles } from './read-env-files.ts';
import { readProject } from './read-project.ts';
import { readServices } from './read-services.ts';
import { refuseKeys } from './refuse-keys.ts';
import { renderDocument } from './render-document.ts';
import { Report, type ComposeDiagnostic } from './report.ts';
import { selectServices } from './select-services.ts';
import { textBudget } from './yaml/interpolate-tree.ts';
import type { Lookup } from './yaml/interpolate.ts';

export { renderYaml } from './render-yaml.ts';
export type { ComposeDiagnostic } from './report.ts';

export interface ComposeRequest {
  /** Absolute; where relative paths start from, and where files are looked for (and upward) if none are named. */
  readonly workingDir: string;
  /** Absolute paths; later ones override. Empty: COMPOSE_FILE, else compose.yaml and its kin. */
  readonly files: readonly string[];
  /** Absolute paths. Empty: .env in the project's folder, if there is one. */
  readonly envFiles: readonly string[];
  readonly profiles: readonly string[];
  /** The caller's environment: for variables, and for COMPOSE_FILE, COMPOSE_PROFILES, COMPOSE_PROJECT_NAME. */
  readonly env: Readonly<Record<string, string>>;
  readonly projectName?: string | undefined;
  /** Only these and what they depend on; empty or undefined: all that the profiles let through. */
  readonly services?: readonly string[] | undefined;
}

export interface ComposeApp {
  readonly app: AppSpec;
  readonly warnings: readonly ComposeDiagnostic[];
  /** The project as `strata config` prints it: plain, in long form, secrets by where they come from. */
  readonly document: Readonly<Record<string, unknown>>;
  /** Where it asks for what no host has. */
  placeOf(need: UnmetNeed): Place;
}

/** @throws StrataError kind `invalid`, `details.diagnostics` with every place; `compose.noFile` where there is no file */
export async function readComposeApp(request: ComposeRequest): Promise<ComposeApp> {
  const report = new Report();
  const found = await filesOf(request, report);
  const loading: Loading = { report, lookup: found.lookup, chain: [], files: new Set(), cache: new Map(), budget: textBudget() };
  const documents = (await Promise.all(found.files.map((path) => readDocuments({ path, baseDir: found.workingDir }, loading)))).flat();
  const name = nameProject({ asked: request.projectName ?? found.lookup('COMPOSE_PROJECT_NAME'), documents, workingDir: found.workingDir, lookup: found.lookup }, report);
  const lookup: Lookup = (variable) => (variable === 'COMPOSE_PROJECT_NAME' ? name : found.lookup(variable));
  const tree = await loadFiles(found.files, found.workingDir, { ...loading, lookup });
  if (tree === undefined) {
    report.throwIfFailed();
    throw new StrataError(`${found.files[0]} is empty`, { code: 'compose.noServices', kind: 'invalid', place: { file: found.files[0] as string, line: 1, column: 1 }, advice: 'add `services:`' });
  }
  const project = readProject({ tree, name, workingDir: found.workingDir, lookup, home: request.env['HOME'], report });
  const profiles = [...request.profiles, ...(request.profiles.length > 0 ? [] : (found.lookup('COMPOSE_PROFILES') ?? '').split(',').filter((one) => one !== ''))];
  const selected = selectServices(project, { profiles, services: request.services ?? [] });
  refuseKeys(tree, selected.idle, report);
  const { services, volumes } = await readServices(project, selected);
  report.throwIfFailed();
  const app: AppSpec = { name, workingDir: found.workingDir, files: [...loading.files], services, volumes };
  return {
    app, warnings: report.warnings, document: renderDocument(project, app, selected.wanted),
    placeOf(need) {
      const { file, line, column } = placeOfNeed(tree, services, need);
      return { file, line, column };
    },
  };
}

interface Found { readonly files: readonly string[]; readonly workingDir: string; readonly lookup: Lookup }

/** The files, and the variables known before any of them is read. */
async function filesOf(request: ComposeRequest, report: Report): Promise<Found> {
  const named = request.files.length > 0 ? request.files : pathsIn(request.env['COMPOSE_FILE'], request.env, request.workingDir);
  const nearby = named.length > 0 ? undefined : await findComposeFiles(request.workingDir);
  const workingDir = nearby?.workingDir ?? request.workingDir;
  const namedEnvFiles = request.envFiles.length > 0 ? request.envFiles : pathsIn(request.env['COMPOSE_ENV_FILES'], { COMPOSE_PATH_SEPARATOR: ',' }, request.workingDir);
  const envFiles = namedEnvFiles.length > 0 ? namedEnvFiles.map((path) => ({ path, required: true })) : [{ path: join(workingDir, '.env'), required: false }];
  const outside: Lookup = (name) => (Object.hasOwn(request.env, name) ? request.env[name] : undefined);
  const own = await readEnvFiles(envFiles, outside, report);
  const lookup: Lookup = (name) => outside(name) ?? own.get(name);
  const inEnvFile = named.length > 0 ? [] : pathsIn(own.get('COMPOSE_FILE'), Object.fromEntries(own), workingDir);
  const files = named.length > 0 ? named : inEnvFile.length > 0 ? inEnvFile : nearby?.files ?? [];
  if (files.length === 0) {
    report.throwIfFailed();
    throw new StrataError(`there is no Compose file in ${request.workingDir}`, { code: 'compose.noFile', kind: 'invalid', advice: 'write a compose.yaml, or name one with --file' });
  }
  const [taken] = files;
  if (inEnvFile.length === 0 && nearby !== undefined && nearby.passedOver.length > 0) report.warn({ file: taken as string, line: 1, column: 1 }, 'compose.severalFiles', `is taken, and not ${nearby.passedOver.join(', ')}`, 'name the file with --file, or take the other away');
  return { files, workingDir, lookup };
}

function pathsIn(list: string | undefined, env: Readonly<Record<string, string>>, workingDir: string): string[] {
  return (list ?? '').split(env['COMPOSE_PATH_SEPARATOR'] || ':').filter((one) => one !== '').map((path) => (path.startsWith('/') ? path : join(workingDir, path)));
}
