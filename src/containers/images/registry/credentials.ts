/**
 * Credentials for a registry, from where Docker and podman keep them: REGISTRY_AUTH_FILE, DOCKER_CONFIG,
 * ~/.docker/config.json, with credential helpers. They are never logged and never part of an error.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { childEnvironment, runProcess, StrataError } from '#base';

export interface Credentials {
  readonly username: string;
  readonly password: string;
  /** A refresh token instead of a password (`identitytoken`). */
  readonly identityToken: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const entrySchema = z.object({ auth: z.string().optional(), username: z.string().optional(), password: z.string().optional(), identitytoken: z.string().optional() });
const fileSchema = z.object({ auths: z.record(z.string(), entrySchema).optional(), credHelpers: z.record(z.string(), z.string()).optional(), credsStore: z.string().optional() });
const helperSchema = z.object({ Username: z.string(), Secret: z.string() });

/** @throws StrataError `image.badCredentials` where the file cannot be read as such */
export async function findCredentials(registry: string, environment: Environment): Promise<Credentials | undefined> {
  for (const path of candidates(environment)) {
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    const file = parseFile(path, text);
    const names = namesOf(registry);
    const helper = names.map((name) => file.credHelpers?.[name]).find((one) => one !== undefined) ?? file.credsStore;
    const found = (helper === undefined ? undefined : await askHelper(helper, names[0] as string, environment)) ?? fromEntries(file.auths ?? {}, names);
    if (found !== undefined) return found;
  }
  return undefined;
}

function candidates(environment: Environment): string[] {
  const own = environment['REGISTRY_AUTH_FILE'];
  if (own !== undefined && own !== '') return [own];
  const home = environment['HOME'] ?? '/root';
  return [join(environment['DOCKER_CONFIG'] ?? join(home, '.docker'), 'config.json'), ...(environment['XDG_RUNTIME_DIR'] === undefined ? [] : [join(environment['XDG_RUNTIME_DIR'], 'containers/auth.json')])];
}

function parseFile(path: string, text: string): z.infer<typeof fileSchema> {
  try {
    return fileSchema.parse(JSON.parse(text));
  } catch { // the cause may quote the secret
    throw new StrataError(`${path} is no file of registry credentials`, { code: 'image.badCredentials', kind: 'invalid', advice: 'log in again, or mend the file' });
  }
}

/** Docker Hub has an old name in these files. */
function namesOf(registry: string): string[] {
  return registry === 'docker.io' ? ['https://index.docker.io/v1/', 'index.docker.io', 'docker.io', 'registry-1.docker.io'] : [registry, `https://${registry}`, `http://${registry}`, `https://${registry}/`, `https://${registry}/v1/`, `https://${registry}/v2/`];
}

function fromEntries(auths: Readonly<Record<string, z.infer<typeof entrySchema>>>, names: readonly string[]): Credentials | undefined {
  const entry = names.map((name) => auths[name]).find((one) => one !== undefined);
  if (entry === undefined) return undefined;
  const decoded = Buffer.from(entry.auth ?? '', 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  const username = entry.username ?? (colon < 0 ? '' : decoded.slice(0, colon));
  const password = entry.password ?? (colon < 0 ? '' : decoded.slice(colon + 1).replace(/\0+$/, ''));
  return username === '' && entry.identitytoken === undefined ? undefined : { username, password, identityToken: entry.identitytoken ?? '' };
}

async function askHelper(helper: string, registry: string, environment: Environment): Promise<Credentials | undefined> {
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(helper)) return undefined;
  const env = { ...childEnvironment, PATH: environment['PATH'] ?? childEnvironment['PATH'] ?? '', HOME: environment['HOME'] ?? '/root' };
  try {
    const { stdout } = await runProcess([`docker-credential-${helper}`, 'get'], { input: registry, env, timeoutMs: 20_000, maxOutputBytes: 1024 * 1024 });
    const { Username, Secret } = helperSchema.parse(JSON.parse(stdout));
    return Username === '<token>' ? { username: '', password: '', identityToken: Secret } : { username: Username, password: Secret, identityToken: '' };
  } catch { return undefined; } // it has none; the registry will say whether any are needed
}
