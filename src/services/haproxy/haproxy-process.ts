/**
 * HAProxy's processes: a master that stays, workers that come and go with reloads. Nothing is remembered: the master's
 * own socket says who it is, so a later daemon finds it again.
 */
import { spawn } from 'node:child_process';
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { childEnvironment, identifyProcess, isAlive, signalProcess, StrataError, waitUntil, type ProcessIdentity } from '#base';
import { askHaproxy } from './runtime-api.ts';

export interface HaproxyFolder {
  readonly folder: string;
  readonly configPath: string;
  readonly masterSocket: string;
  readonly workerSocket: string;
  readonly logPath: string;
}

export function haproxyFolder(runDir: string): HaproxyFolder {
  const folder = join(runDir, 'haproxy');
  return { folder, configPath: join(folder, 'haproxy.cfg'), masterSocket: join(folder, 'master.sock'), workerSocket: join(folder, 'worker.sock'), logPath: join(folder, 'haproxy.log') };
}

/** The running master, or undefined when there is none. */
export async function findMaster(places: HaproxyFolder): Promise<ProcessIdentity | undefined> {
  try {
    const pid = /^(\d+)\s+master\s/m.exec(await askHaproxy(places.masterSocket, 'show proc'))?.[1];
    return pid === undefined ? undefined : await identifyProcess(Number(pid));
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** Pids of all workers, the current one and those that finish what they carry. */
export async function listWorkers(places: HaproxyFolder): Promise<readonly number[]> {
  return [...(await askHaproxy(places.masterSocket, 'show proc')).matchAll(/^(\d+)\s+worker\s/gm)].map((match) => Number(match[1]));
}

/** The structure mark of the worker that takes new connections, or undefined where none answers. */
export async function loadedMark(places: HaproxyFolder): Promise<string | undefined> {
  try {
    return /^description: (\S+)/m.exec(await askHaproxy(places.workerSocket, 'show info'))?.[1] ?? '';
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/**
 * Starts master and worker with the configuration that lies there, detached from us; returns when the worker answers.
 * @throws StrataError `gateway.startFailed` with HAProxy's own words
 */
export async function startHaproxy(places: HaproxyFolder, mark: string): Promise<ProcessIdentity> {
  await Promise.all([places.masterSocket, places.workerSocket].map((path) => rm(path, { force: true })));
  const log = await open(places.logPath, 'w', 0o600);
  let ended: string | undefined;
  try {
    const child = spawn('haproxy', ['-W', '-db', '-S', `${places.masterSocket},mode,600`, '-f', places.configPath], {
      cwd: '/', env: { ...childEnvironment }, detached: true, stdio: ['ignore', log.fd, log.fd],
    });
    child.on('error', (error) => { ended = error.message; });
    child.on('exit', (code, signal) => { ended ??= `ended with ${code ?? signal}`; });
    child.unref();
  } finally {
    await log.close();
  }
  // The worker may answer a moment before its master does.
  const up = async () => {
    if (ended !== undefined) return 'ended' as const;
    if ((await loadedMark(places).catch(() => undefined)) !== mark) return undefined;
    return findMaster(places).catch(() => undefined);
  };
  const master = await waitUntil(up, { what: 'HAProxy answers', limitMs: 10_000 });
  if (master !== 'ended') return master;
  throw new StrataError(`HAProxy did not start: ${await lastWords(places) || ended}`, { code: 'gateway.startFailed', kind: 'unavailable', advice: 'is the package haproxy installed? see `strata doctor`' });
}

/** @throws StrataError `gateway.reloadFailed`; the earlier worker goes on */
export async function reloadHaproxy(places: HaproxyFolder, mark: string): Promise<void> {
  await askHaproxy(places.masterSocket, 'reload');
  try {
    // The worker answers a moment before its master, which has started itself anew, does.
    const done = async () => (await loadedMark(places).catch(() => undefined)) === mark && (await findMaster(places).catch(() => undefined)) !== undefined;
    await waitUntil(done, { what: 'the new worker answers', limitMs: 10_000, everyMs: 10 });
  } catch (cause) {
    throw new StrataError(`HAProxy kept its earlier configuration: ${await lastWords(places)}`, { code: 'gateway.reloadFailed', kind: 'unavailable', cause });
  }
}

/** Ends the master and with it all workers. */
export async function endHaproxy(places: HaproxyFolder): Promise<void> {
  const master = await findMaster(places);
  if (master === undefined) return;
  const workers = await Promise.all((await listWorkers(places)).map((pid) => identifyProcess(pid)));
  const all = [master, ...workers.filter((one) => one !== undefined)];
  const gone = async () => (await Promise.all(all.map((one) => isAlive(one)))).every((alive) => !alive);
  await signalProcess(master, 'SIGTERM');
  try {
    await waitUntil(gone, { what: 'HAProxy ends', limitMs: 3000 });
  } catch {
    for (const one of all) await signalProcess(one, 'SIGKILL');
    await waitUntil(gone, { what: 'the killed HAProxy ends', limitMs: 3000 });
  }
}

async function lastWords(places: HaproxyFolder): Promise<string> {
  const text = await readFile(places.logPath, 'utf8').catch(() => '');
  return text.split('\n').filter((line) => line.includes('ALERT')).slice(-3).join(' | ').slice(-600);
}

export function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ECONNREFUSED'].includes(((error as Error).cause as NodeJS.ErrnoException | undefined)?.code ?? '');
}
