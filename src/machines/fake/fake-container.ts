/**
 * A container that only pretends: it has the life of a real one (start, probe, exit, restart, logs) and
 * runs nothing. What it does is said by its argv, see README.md of this folder.
 */
import type { GuestContainerSpec, GuestContainerState } from '#guest-protocol';

export interface FakeLogLine { readonly t: number; readonly s: 1 | 2; readonly l: string }

export interface FakeContainer {
  readonly spec: GuestContainerSpec;
  state(): GuestContainerState;
  start(): void;
  stop(): void;
  kill(signal: string): void;
  remove(): void;
  readonly log: readonly FakeLogLine[];
  follow(listener: (line: FakeLogLine) => void): () => void;
  readonly runs: boolean;
}

/** Probes and restarts of a fake are never slower than this, whatever the specification says. */
const mostMs = 50;

export function fakeContainer(spec: GuestContainerSpec, nextPid: () => number, changed: (state: GuestContainerState) => void, cloned = false): FakeContainer {
  let now: GuestContainerState = {
    id: spec.id, digest: spec.digest, phase: 'created', pid: 0, startedAtMs: 0, finishedAtMs: 0, exitCode: -1, oomKilled: false, restarts: 0,
    health: spec.health === null ? 'none' : 'starting', lastProbe: null, error: '', cloned,
  };
  const log: FakeLogLine[] = [];
  const followers = new Set<(line: FakeLogLine) => void>();
  const timers = new Set<NodeJS.Timeout>();
  const runs = () => now.phase === 'running' || now.phase === 'stopping';

  function become(change: Partial<GuestContainerState>): void {
    now = { ...now, ...change };
    changed(now);
  }
  function print(text: string, stream: 1 | 2 = 1): void {
    const line: FakeLogLine = { t: Date.now(), s: stream, l: text };
    log.push(line);
    if (log.length > 5000) log.shift();
    for (const follower of [...followers]) follower(line);
  }
  function later(milliseconds: number, act: () => void): void {
    const timer = setTimeout(() => { timers.delete(timer); act(); }, milliseconds);
    timers.add(timer);
  }
  function clear(): void {
    for (const timer of timers) clearTimeout(timer);
    timers.clear();
  }
  function ended(exitCode: number, oomKilled = false, restartable = true): void {
    clear();
    const again = restartable && restarts(spec, exitCode, now.restarts);
    become({ phase: again ? 'waiting' : 'exited', pid: 0, finishedAtMs: Date.now(), exitCode, oomKilled, cloned: false, health: spec.health === null ? 'none' : 'starting' });
    if (again) later(mostMs, () => { now = { ...now, restarts: now.restarts + 1 }; run(); });
  }
  function probe(): void {
    const test = spec.health?.test;
    const ok = test === undefined || test.kind !== 'command' || !test.argv.some((word) => /\b(false|unhealthy)\b/.test(word));
    const output = ok ? 'ok' : 'the probe says no';
    if (now.health !== (ok ? 'healthy' : 'unhealthy')) become({ health: ok ? 'healthy' : 'unhealthy', lastProbe: { atMs: Date.now(), ok, output } });
    later(mostMs, probe);
  }
  function run(): void {
    if (spec.argv[0] === 'no-such-program') return become({ phase: 'exited', exitCode: 125, error: 'no-such-program: not found', finishedAtMs: Date.now() });
    become({ phase: 'running', pid: nextPid(), startedAtMs: Date.now(), finishedAtMs: 0, exitCode: -1, oomKilled: false, error: '' });
    print(`${spec.id} runs: ${spec.argv.join(' ')}`);
    const [verb, first, second] = spec.argv;
    if (verb === 'exit') later(1, () => ended(Number(first ?? 0)));
    else if (verb === 'exit-after') later(Number(first ?? 0), () => ended(Number(second ?? 0)));
    else if (verb === 'oom') later(1, () => ended(137, true));
    else if (verb === 'chatter') { for (let line = 0; line < Number(first ?? 1000); line += 1) print(`line ${line}`, line % 2 === 0 ? 1 : 2); }
    if (spec.health !== null) later(Math.min(spec.health.startIntervalMs, mostMs), probe);
  }
  return {
    spec, log,
    state: () => now,
    start() { if (!runs()) { clear(); run(); } },
    stop() { if (runs()) ended(143, false, false); else { clear(); if (now.phase === 'waiting') become({ phase: 'exited' }); } },
    kill(signal) { if (runs()) ended(signal === 'SIGKILL' ? 137 : 143); },
    remove() { clear(); followers.clear(); },
    follow(listener) { followers.add(listener); return () => { followers.delete(listener); }; },
    get runs() { return runs(); },
  };
}

function restarts(spec: GuestContainerSpec, exitCode: number, before: number): boolean {
  const { policy, maxAttempts } = spec.restart;
  if (policy === 'no' || (policy === 'on-failure' && exitCode === 0)) return false;
  return maxAttempts === undefined || before < maxAttempts;
}
