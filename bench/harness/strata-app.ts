/** Strata as a bench runs it, with the example or without: an own instance, a published port of its own, `strata` as a program as people call it. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { childEnvironment, runProcess, waitUntil } from '#base';
import { ownInstance, type OwnInstance } from './own-instance.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const example = join(root, 'examples/guestbook');

interface ComposeService { image: string; build?: { context: string }; platform?: string; ports?: string[]; extra_hosts?: string[]; depends_on?: Record<string, unknown>; deploy?: { replicas?: number }; [key: string]: unknown }
export interface ComposeFile { services: Record<string, ComposeService>; [key: string]: unknown }

export interface OwnStrata extends AsyncDisposable {
  readonly own: OwnInstance;
  /** `strata …`, in the instance's folder, with variables of its own; returns stdout. */
  strata(argv: readonly string[], more?: Readonly<Record<string, string>>): Promise<string>;
  /** Process id of the daemon. */
  daemon(): Promise<number>;
  endDaemon(): Promise<void>;
}

export interface StrataApp extends OwnStrata {
  readonly compose: ComposeFile;
  up(): Promise<void>;
  down(): Promise<void>;
}

/** @param all false: without the service on the Arm processor (nginx still wants its name, so it gets one that leads nowhere) */
export async function exampleCompose(port: number, all: boolean): Promise<ComposeFile> {
  const file = parse(await readFile(join(example, 'compose.yaml'), 'utf8')) as ComposeFile;
  for (const service of Object.values(file.services)) if (service.build !== undefined) service.build.context = join(example, service.build.context);
  const { web } = file.services;
  if (web === undefined) throw new Error('the example has no service web');
  web.ports = [`127.0.0.1:${port}:80`];
  if (!all) {
    for (const name of Object.keys(file.services)) if (file.services[name]?.platform !== undefined) {
      delete file.services[name];
      delete web.depends_on?.[name];
      web.extra_hosts = [...web.extra_hosts ?? [], `${name}:127.0.0.1`];
    }
  }
  return file;
}

export async function openStrataApp(name: string, subnet: number, compose: ComposeFile): Promise<StrataApp> {
  const strata = await openOwnStrata(name, subnet);
  const project = join(strata.own.folder, 'guestbook');
  await mkdir(project);
  await writeFile(join(project, 'compose.yaml'), stringify(compose));
  return {
    ...strata, compose,
    up: async () => { await strata.strata(['up', project]); },
    down: async () => { await strata.strata(['down', '-p', 'guestbook']); },
    [Symbol.asyncDispose]: async () => {
      await strata.strata(['down', '-v', '-p', 'guestbook']).catch((error: unknown) => { process.stderr.write(`  down: ${(error as Error).message}\n`); });
      await strata[Symbol.asyncDispose]();
    },
  };
}

/** Its machines are the bench's to remove. */
export async function openOwnStrata(name: string, subnet: number): Promise<OwnStrata> {
  const own = await ownInstance(name, subnet);
  const env = { ...childEnvironment, ...own.environment, NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/strata') };
  const daemon = async (): Promise<number> => {
    const pids = (await findProcesses('strata-daemon.ts', own.instance.runDir))[0];
    if (pids === undefined) throw new Error('there is no daemon of this instance');
    return pids;
  };
  const strata: OwnStrata['strata'] = async (argv, more = {}) => (await runProcess([join(root, 'strata'), ...argv], { cwd: own.folder, env: { ...env, ...more }, timeoutMs: 600_000 })).stdout;
  return {
    own, daemon, strata,
    endDaemon: async () => endProcess(await daemon()),
    [Symbol.asyncDispose]: async () => {
      await strata(['serve', '--stop', '--all']).catch((error: unknown) => { process.stderr.write(`  serve --stop: ${(error as Error).message}\n`); });
      for (const word of ['strata-daemon.ts', 'strata-edge.ts', 'haproxy']) for (const pid of await findProcesses(word, own.instance.runDir)) await endProcess(pid);
      const { openHostNetwork } = await import('#pool');
      const { silentLog } = await import('#base');
      await openHostNetwork({ instance: own.instance, log: silentLog }).erase();
      await own[Symbol.asyncDispose]();
    },
  };
}

/** Processes with the word in their command line that belong to the instance: it stands in their arguments or environment. */
export async function findProcesses(word: string, runDir: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await readdir('/proc')).filter((one) => /^\d+$/.test(one))) {
    const argv = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (!argv.split('\0').some((one) => one.endsWith(word))) continue;
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (argv.includes(runDir) || environment.includes(`STRATA_RUN=${runDir}\0`)) found.push(Number(pid));
  }
  return found;
}

async function endProcess(pid: number): Promise<void> {
  try { process.kill(pid, 'SIGTERM'); } catch { return; }
  await waitUntil(() => { try { process.kill(pid, 0); return false; } catch { return true; } }, { what: `process ${pid} ends`, limitMs: 5000 }).catch(() => { try { process.kill(pid, 'SIGKILL'); } catch { /* it ended meanwhile */ } });
}

/** One request; its body where it is answered with 200. */
export function ask(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 5000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(response.statusCode === 200 ? Buffer.concat(chunks).toString('utf8') : undefined));
      response.on('error', () => resolve(undefined));
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(undefined));
  });
}

/** Time from the call until the page's data comes through nginx, the API and Redis. */
export async function untilAnswer(url: string, start: () => Promise<void>, limitMs = 120_000): Promise<{ readonly answered: number; readonly returned: number }> {
  const began = performance.now();
  const started = start();
  started.catch(() => undefined);
  await Promise.race([waitUntil(async () => (await ask(url))?.includes('"entries"') === true, { what: `${url} answers`, limitMs, everyMs: 20 }), started.then(() => new Promise(() => undefined))]);
  const answered = (performance.now() - began) / 1000;
  await started;
  return { answered, returned: (performance.now() - began) / 1000 };
}

