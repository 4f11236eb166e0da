/**
 * A whole Strata for one test: an instance of its own, used through its command line as a person would, and ended with
 * all it started: daemon, machines, gateway, edge, network.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { identifyProcess, isAlive, signalProcess, silentLog, systemClock, waitUntil, type Instance, type ProcessIdentity } from '#base';
import { openClient, type Client, type Container } from '#client';
import { openQemuEngine } from '#machines/qemu';
import { openUmlEngine } from '#machines/uml';
import { openHostNetwork } from '#pool';
import { openEdge } from '#services';
import { openHaproxyGateway } from '#services/haproxy';
import { census, ofTemplate, processesOf } from './census.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface CliResult { readonly code: number; readonly stdout: string; readonly stderr: string; readonly ms: number }

export interface TestInstance {
  readonly instance: Instance;
  readonly folder: string;
  /** Tells a program of ours which instance is meant. */
  readonly environment: Readonly<Record<string, string>>;
  /** Runs `strata …` to its end. */
  cli(args: readonly string[], options?: { readonly cwd?: string; readonly limitMs?: number; readonly env?: Readonly<Record<string, string>> }): Promise<CliResult>;
  /** As `cli`, and the test fails where it does not end with 0. */
  ok(args: readonly string[], options?: { readonly cwd?: string; readonly limitMs?: number }): Promise<CliResult>;
  startDaemon(): Promise<void>;
  /** The daemon that answers now, or undefined. */
  daemon(): Promise<ProcessIdentity | undefined>;
  /** `kill -9`; returns when it is gone. False where none ran. */
  killDaemon(): Promise<boolean>;
  client(): Client;
  /** Of the API: a test that looks again and again would do little but start `strata ps`. Where no daemon answers, one is started. */
  containers(app?: string): Promise<readonly Container[]>;
  /** Writes a Compose file in a folder named like the app; returns the folder. */
  app(name: string, compose: string): string;
  /** Pids of this instance's processes whose command line has the word; templates, which come and go in the background, are left out. */
  pidsOf(word: string): readonly number[];
  /** All that runs dies and the run folder is empty, as after a loss of power. */
  loseAll(): Promise<void>;
  /** Ends all and removes the folders; then nothing may be left (see census). */
  end(): Promise<void>;
}

export interface TestInstanceOptions {
  /** Paused machines that its daemon keeps ready of each shape; default none, so that every start is like the one before. */
  readonly poolSize?: number;
}

export function openTestInstance(short: string, subnet: number, { poolSize = 0 }: TestInstanceOptions = {}): TestInstance {
  const folder = mkdtempSync(join(tmpdir(), `${short}-`));
  const instance: Instance = { name: short, stateDir: join(folder, 's'), runDir: join(folder, 'r'), cacheDir: process.env['STRATA_CACHE'] ?? '/var/cache/strata', subnet };
  const env: Record<string, string> = {
    PATH: process.env['PATH'] ?? '', HOME: '/root', STRATA_RESIDENT: 'no', STRATA_INSTANCE: instance.name, STRATA_STATE: instance.stateDir, STRATA_RUN: instance.runDir, STRATA_CACHE: instance.cacheDir, STRATA_SUBNET: String(subnet), STRATA_POOL: String(poolSize),
    ...(process.env['STRATA_TEST_FILE'] === undefined ? {} : { STRATA_TEST_FILE: process.env['STRATA_TEST_FILE'] }),
  };
  const running = new Set<ChildProcess>();
  let opened: Client | undefined;

  const cli: TestInstance['cli'] = (args, options = {}) => new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(join(root, 'strata'), args, { cwd: options.cwd ?? folder, env: { ...env, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    const timer = setTimeout(() => child.kill('SIGKILL'), options.limitMs ?? 180_000);
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ code: code ?? -1, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString(), ms: performance.now() - started });
    });
  });

  async function daemon(): Promise<ProcessIdentity | undefined> {
    const [pid] = processesOf(instance).filter((one) => one.command.includes('strata-daemon.ts')).map((one) => one.pid);
    return pid === undefined ? undefined : identifyProcess(pid);
  }

  async function endProcesses(pids: readonly number[]): Promise<void> {
    const all = (await Promise.all(pids.map((pid) => identifyProcess(pid)))).filter((one) => one !== undefined);
    for (const one of all) await signalProcess(one, 'SIGKILL');
    await waitUntil(async () => (await Promise.all(all.map((one) => isAlive(one)))).every((alive) => !alive), { what: 'the killed processes are gone', limitMs: 20_000 });
  }

  /** What the guests printed last: of a guest that hangs nothing else tells why. */
  async function consoles(): Promise<string> {
    const { stdout } = await cli(['machine', 'ls', '-o', 'json'], { limitMs: 20_000 });
    const names = [...stdout.matchAll(/"name": *"([^"]+)"/g)].map(([, name = '']) => name);
    const logs = await Promise.all(names.map(async (name) => `\nconsole of ${name}:\n${(await cli(['machine', 'logs', '--tail', '15', name], { limitMs: 20_000 })).stdout}`));
    return `${stdout}${logs.join('')}`;
  }

  const self: TestInstance = {
    instance, folder, environment: env, cli, daemon,
    async ok(args, options) {
      const result = await cli(args, options);
      if (result.code !== 0) throw new Error(`strata ${args.join(' ')} ended with ${result.code}\n${result.stdout}\n${result.stderr}${args[0] === 'up' ? await consoles() : ''}`);
      return result;
    },
    async startDaemon() { await self.ok(['app', 'ls']); },
    async killDaemon() {
      const one = await daemon();
      if (one === undefined) return false;
      await endProcesses([one.pid]);
      return true;
    },
    client: () => (opened ??= openClient(join(instance.runDir, 'api.sock'))),
    async containers(app) {
      const list = () => self.client().call('listContainers');
      const { items } = await list().catch(async (error: unknown) => {
        if (!daemonIsGone(error)) throw error;
        await self.startDaemon();
        return list();
      });
      return items.filter((one) => app === undefined || one.app === app);
    },
    app(name, compose) {
      const place = join(folder, 'apps', name);
      mkdirSync(place, { recursive: true });
      writeFileSync(join(place, 'compose.yaml'), compose);
      return place;
    },
    pidsOf: (word) => processesOf(instance).filter((one) => one.command.includes(word) && !ofTemplate.test(one.command)).map((one) => one.pid),
    async loseAll() {
      opened?.close();
      opened = undefined;
      await self.killDaemon(); // first: it would start what it sees end, and that would outlive this
      await endProcesses(processesOf(instance).map((one) => one.pid));
      await openHostNetwork({ instance, log: silentLog }).erase();
      unmountUnder(instance.runDir);
      rmSync(instance.runDir, { recursive: true, force: true });
    },
    async end() {
      opened?.close();
      for (const child of running) child.kill('SIGKILL');
      await endProcesses(processesOf(instance).filter((one) => one.command.includes('strata-daemon.ts') || one.command.includes('/cli/main.ts')).map((one) => one.pid));
      const network = openHostNetwork({ instance, log: silentLog });
      const deps = { instance, log: silentLog, clock: systemClock, guestOs: () => Promise.reject(new Error('nothing is started here')), network };
      for (const engine of [openQemuEngine(deps), openUmlEngine(deps)]) for (const id of machineFolders(instance, engine.name)) await engine.erase(id);
      await openHaproxyGateway({ instance, log: silentLog }).stop();
      await openEdge({ instance, log: silentLog }).stop();
      await endProcesses(processesOf(instance).map((one) => one.pid)); // what had lost its sockets
      await network.erase();
      unmountUnder(folder);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return self;
}

const daemonIsGone = (error: unknown): boolean => ['client.unreachable', 'api.closing'].includes((error as { code?: string }).code ?? '');

/** Ends the instance and throws where anything of it is left. */
export async function endClean(test: TestInstance): Promise<void> {
  await test.end();
  const left = census(test.instance);
  if (left.length > 0) throw new Error(`left of instance ${test.instance.name}:\n${left.join('\n')}`);
}

function machineFolders(instance: Instance, engine: string): readonly string[] {
  const names = (path: string): string[] => { try { return readdirSync(path); } catch { return []; } };
  return [...new Set([...names(join(instance.runDir, engine.slice(0, 1))), ...names(join(instance.stateDir, engine))])].filter((name) => /^m[a-z0-9]+$/.test(name));
}

function unmountUnder(folder: string): void {
  for (const line of spawnSync('mount', { encoding: 'utf8' }).stdout.split('\n')) {
    const path = / on (\S+) type /.exec(line)?.[1];
    if (path?.startsWith(`${folder}/`) === true) spawnSync('umount', ['--lazy', path]);
  }
}

