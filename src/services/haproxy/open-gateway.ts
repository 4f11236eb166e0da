/**
 * The gateway by HAProxy. Every `apply` looks at what runs and does the least that makes it so:
 *
 *     same structure            → runtime commands for servers and host names, then a look whether they took
 *     other structure           → check the new file, seamless reload
 *     nothing runs              → start
 *
 * HAProxy outlives the daemon; its master's socket says who it is and its worker which structure it carries, so a later
 * daemon goes on where the earlier one ended. When HAProxy dies it is started again with the last good file at once.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asStrataError, gatewayAddress, runProcess, StrataError, systemClock, watchProcess, type Instance, type Log, type ProcessIdentity } from '#base';
import { z } from 'zod';
import { checkGatewayState } from '../gateway/check-gateway-state.ts';
import type { Gateway, GatewayState } from '../gateway/gateway.ts';
import { bindKey, chooseBinds, takenBinds, type ChosenBinds } from './choose-binds.ts';
import { endHaproxy, findMaster, haproxyFolder, isAbsent, listWorkers, loadedMark, reloadHaproxy, startHaproxy, type HaproxyFolder } from './haproxy-process.ts';
import { planServers, readServersState } from './plan-servers.ts';
import { addStats, readStats } from './read-stats.ts';
import { renderConfig, renderHostMap, renderStructure, type HaproxyPlaces } from './render-config.ts';
import { askHaproxy, tellHaproxy } from './runtime-api.ts';

export interface HaproxyGatewayDeps {
  readonly instance: Instance;
  readonly log: Log;
  /** Default: the gateway address, which no other instance's edge has. */
  readonly parkingAddress?: string;
  /** Told when HAProxy has died unasked; the driver starts it again by itself. */
  readonly onExit?: () => void;
}

export interface HaproxyGateway extends Gateway {
  /** Lets go of HAProxy without touching it (the daemon ends). */
  release(): void;
}

/** What the running process was started or reloaded with. */
const loadedSchema = z.strictObject({ mark: z.string(), binds: z.array(z.string()) });
type Loaded = z.infer<typeof loadedSchema>;

const restartPauseMs = 300;
const settleMs = 2000;
const lookEveryMs = 50;
const removalPauseMs = 1000;

export function openHaproxyGateway(deps: HaproxyGatewayDeps): HaproxyGateway {
  const { log } = deps;
  const places = haproxyFolder(deps.instance.runDir);
  let tail: Promise<unknown> = Promise.resolve();
  let unwatch: (() => void) | undefined;
  let watched: ProcessIdentity | undefined;
  let removalTimer: NodeJS.Timeout | undefined;
  let open = true;

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = tail.then(work, work);
    tail = mine.catch(() => undefined);
    return mine;
  }

  async function watch(): Promise<void> {
    const master = await findMaster(places);
    if (!open || master === undefined || (watched?.pid === master.pid && watched.startTicks === master.startTicks)) return;
    unwatch?.();
    watched = master;
    unwatch = watchProcess(master, places.masterSocket, () => {
      watched = undefined;
      log.error({ pid: master.pid }, 'HAProxy died; starting it again');
      deps.onExit?.();
      void inTurn(() => bringBack()).catch((error: unknown) => log.error({ error: asStrataError(error, 'start of HAProxy').message }, 'HAProxy could not be started again'));
    });
  }

  /** With the file that lies there: the last good one, servers included. Gives up after a few tries; the next `apply` tries anew. */
  async function bringBack(): Promise<void> {
    const loaded = await readLoaded(places);
    for (let attempt = 1; open && loaded !== undefined && (await findMaster(places)) === undefined; attempt += 1) {
      try {
        await startHaproxy(places, loaded.mark);
      } catch (error) {
        if (attempt === 5) throw error;
        await systemClock.wait(restartPauseMs * attempt);
      }
    }
    await watch();
  }

  async function follow(state: GatewayState): Promise<{ readonly reloaded: boolean }> {
    checkGatewayState(state);
    await mkdir(join(places.folder, 'empty'), { recursive: true, mode: 0o755 });
    const { running, mark, chosen: { binds, problem } } = await look(state);
    const wished: GatewayState = { ...state, binds };
    const wish = await writeWish(places, wished, deps.parkingAddress ?? gatewayAddress(deps.instance));
    let reloaded = false;
    if (mark !== wish.mark || !(await changeServers(wished))) {
      await load(places, wish, running);
      reloaded = true;
    }
    await writeReplacing(places.configPath, wish.text);
    await watch();
    if (problem !== undefined) throw problem;
    return { reloaded };
  }

  /**
   * What runs, and what of the wish can be listened on. For moments HAProxy cannot be seen (a master that starts itself anew answers
   * nobody, an earlier worker may answer for the new one), and holds its ports all the same: then it is looked at again.
   */
  async function look(state: GatewayState): Promise<{ readonly running: boolean; readonly mark: string | undefined; readonly chosen: ChosenBinds }> {
    for (const until = systemClock.monotonic() + settleMs; ; await systemClock.wait(lookEveryMs)) {
      const running = await findMaster(places) !== undefined;
      const mark = running ? await loadedMark(places) : undefined;
      const loaded = await readLoaded(places);
      const held = new Set(loaded !== undefined && loaded.mark === mark ? loaded.binds : []);
      const chosen = await chooseBinds(state, held).catch((thrown: unknown) => asStrataError(thrown, 'looking at ports'));
      const problem = chosen instanceof StrataError ? chosen : chosen.problem;
      const maybeOurs = problem !== undefined && held.size === 0 && loaded?.binds.some((one) => takenBinds(problem).includes(one)) === true;
      if (maybeOurs && systemClock.monotonic() < until) continue;
      if (chosen instanceof StrataError) throw chosen;
      return { running, mark, chosen };
    }
  }

  /** False where the running process did not take the commands. */
  async function changeServers(state: GatewayState): Promise<boolean> {
    await changeHosts(places, state);
    const look = async () => planServers(state.backends, readServersState(await askHaproxy(places.workerSocket, 'show servers state')));
    const plan = await look();
    await tellHaproxy(places.workerSocket, [...plan.commands, ...plan.removals]);
    if (plan.commands.length === 0 && plan.removals.length === 0) return true;
    const left = await look();
    if (left.commands.length > 0) log.warn({ commands: left.commands.slice(0, 5) }, 'HAProxy did not take these changes; reloading');
    if (left.removals.length > 0) removeLater(state);
    return left.commands.length === 0;
  }

  /** Servers that still carry connections go when those have ended. */
  function removeLater(state: GatewayState): void {
    clearTimeout(removalTimer);
    removalTimer = setTimeout(() => {
      void inTurn(async () => { if (open && last === state) await changeServers(state); }).catch(() => undefined); // the next `apply` looks again
    }, removalPauseMs);
    removalTimer.unref();
  }
  let last: GatewayState | undefined;

  return {
    apply: (state) => inTurn(() => {
      last = state;
      open = true;
      return follow(state);
    }),
    stats: () => readAllStats(places),
    stop: () => inTurn(async () => {
      close();
      await endHaproxy(places);
    }),
    release: () => close(),
  };

  function close(): void {
    open = false;
    clearTimeout(removalTimer);
    unwatch?.();
    watched = undefined;
  }
}

interface Wish { readonly mark: string; readonly text: string; readonly loaded: Loaded }

async function writeWish(places: HaproxyFolder, state: GatewayState, parkingAddress: string): Promise<Wish> {
  const where: HaproxyPlaces = { socketPath: places.workerSocket, emptyDir: join(places.folder, 'empty'), mapPath: hostMapPath(places), parkingAddress, ipv6: await hasIpv6() };
  const mark = createHash('sha256').update(renderStructure(state, where)).digest('hex').slice(0, 24);
  await writeReplacing(hostMapPath(places), renderHostMap(state));
  const binds = [bindKey({ address: '127.0.0.1', port: state.hosts.port }), ...state.binds.map(bindKey)];
  return { mark, text: renderConfig(state, where, mark), loaded: { mark, binds } };
}

/** A file HAProxy refuses never becomes the one it would start with. */
async function load(places: HaproxyFolder, wish: Wish, running: boolean): Promise<void> {
  const next = `${places.configPath}.next`;
  const earlier = await readFile(places.configPath, 'utf8').catch(() => undefined);
  await writeFile(next, wish.text, { mode: 0o600 });
  try {
    await runProcess(['haproxy', '-c', '-q', '-f', next], { timeoutMs: 20_000 });
  } catch (cause) {
    await rm(next, { force: true });
    const error = asStrataError(cause, 'haproxy -c');
    throw new StrataError(`HAProxy refuses its configuration: ${error.message}`, { code: error.code === 'process.missing' ? 'gateway.missing' : 'gateway.badConfig', kind: error.kind, cause, ...(error.advice === undefined ? {} : { advice: error.advice }) });
  }
  await rename(next, places.configPath);
  const loadedEarlier = await readLoaded(places);
  await writeReplacing(loadedPath(places), JSON.stringify(wish.loaded));
  if (!running) { await startHaproxy(places, wish.mark); return; }
  try {
    await reloadHaproxy(places, wish.mark);
  } catch (error) {
    if (earlier !== undefined && loadedEarlier !== undefined) {
      await writeReplacing(places.configPath, earlier);
      await writeReplacing(loadedPath(places), JSON.stringify(loadedEarlier));
      await reloadHaproxy(places, loadedEarlier.mark).catch(() => undefined); // the first error tells the story
    }
    throw error;
  }
}

async function changeHosts(places: HaproxyFolder, state: GatewayState): Promise<void> {
  const path = hostMapPath(places);
  const text = await askHaproxy(places.workerSocket, `show map ${path}`);
  const now = new Map(text.split('\n').map((line) => line.split(' ')).flatMap(([, host, backend]) => (host === undefined || backend === undefined ? [] : [[host, backend] as const])));
  const commands: string[] = [];
  for (const [host, backend] of Object.entries(state.hosts.routes)) {
    if (!now.has(host)) commands.push(`add map ${path} ${host} ${backend}`);
    else if (now.get(host) !== backend) commands.push(`set map ${path} ${host} ${backend}`);
  }
  for (const host of now.keys()) if (!Object.hasOwn(state.hosts.routes, host)) commands.push(`del map ${path} ${host}`);
  await tellHaproxy(places.workerSocket, commands);
}

async function readAllStats(places: HaproxyFolder): Promise<ReturnType<typeof readStats>> {
  try {
    const current = /^Pid: (\d+)/m.exec(await askHaproxy(places.workerSocket, 'show info'))?.[1];
    const others = (await listWorkers(places)).filter((pid) => String(pid) !== current);
    const earlier = await Promise.all(others.map((pid) => askHaproxy(places.masterSocket, `@!${pid} show stat`).catch(() => ''))); // it may end meanwhile
    return addStats([readStats(await askHaproxy(places.workerSocket, 'show stat')), ...earlier.map(readStats)]);
  } catch (error) {
    if (isAbsent(error)) return []; // not running: nothing flows
    throw error;
  }
}

async function readLoaded(places: HaproxyFolder): Promise<Loaded | undefined> {
  try {
    return loadedSchema.parse(JSON.parse(await readFile(loadedPath(places), 'utf8')));
  } catch {
    return undefined; // none yet, or damaged: then nothing is taken as held
  }
}

async function hasIpv6(): Promise<boolean> {
  return (await readFile('/proc/net/if_inet6', 'utf8').catch(() => '')).includes('00000000000000000000000000000001');
}

async function writeReplacing(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

const hostMapPath = (places: HaproxyFolder): string => join(places.folder, 'hosts.map');
const loadedPath = (places: HaproxyFolder): string => join(places.folder, 'loaded.json');
