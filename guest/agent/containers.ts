/**
 * Containers: made, watched, probed and started again by the agent alone, whether or not the host
 * listens. One object per container; `changed` is called after each change of what it would tell.
 *
 *   created ─► running ─► exited ─► waiting (back-off) ─► running …
 *                 └─► stopping ─► exited          (asked to stop: no restart follows)
 *
 * One that came with the memory of another guest goes on as another; what the guest has of it stays in its place.
 */
import * as os from 'os';
import * as sys from 'sys';
import type { GuestContainerSpec, GuestContainerState } from '../protocol/messages.ts';
import { backOffMs, goodRunMs, shouldRestart } from './back-off.ts';
import { prepareBundle, removeBundle, unmountBundle, type Bundle } from './bundle.ts';
import { runToEnd } from './children.ts';
import { spawnInside, type Inside } from './enter.ts';
import { ContainerLog } from './logs.ts';
import { becomeAnother } from './go-on.ts';
import { after, cancel, pause, type Timer } from './loop.ts';
import { makeNamespace, removeNamespace } from './network.ts';
import { probe, type ProbeResult } from './probes.ts';
import { afterProbe, newProbeState, nextProbeMs, type ProbeState } from './probe-state.ts';
import { freezeCgroup, removeCgroup, thawCgroup } from './container-cgroup.ts';
import { ContainerOutput } from './container-output.ts';
import { containerStats, oomKills, type ContainerStats } from './container-stats.ts';
import { launchContainer, type Launched } from './launch-container.ts';
import { signalNumber } from './signals.ts';

const askAgainMs = 200;

export class Container {
  #spec: GuestContainerSpec;
  /** The id under which the guest has its files, its cgroup and its namespace. */
  readonly #place: string;
  #phase: GuestContainerState['phase'] = 'created';
  #pid = 0;
  #startedAtMs = 0;
  #finishedAtMs = 0;
  #exitCode = -1;
  #oomKilled = false;
  #restarts = 0;
  #failures = 0;
  #error = '';
  #stopAsked = false;
  #probe: ProbeState | undefined;
  #lastProbe: GuestContainerState['lastProbe'] = null;
  #timer: Timer | undefined;
  #probeTimer: Timer | undefined;
  #launching: Promise<void> = Promise.resolve();
  #startedMonotonic = 0;
  #onGone: (() => void)[] = [];
  /** Nothing of it runs; who wants to run something in it waits. */
  #standstill: Standstill | undefined;
  #cloned = false;
  /** It goes on as another one, and is not ready to be told as running. */
  #settling = false;
  readonly log: ContainerLog;
  readonly #output: ContainerOutput;
  readonly #changed: (state: GuestContainerState) => void;

  constructor(spec: GuestContainerSpec, changed: (state: GuestContainerState) => void) {
    this.#spec = spec;
    this.#place = spec.id;
    this.#changed = changed;
    this.log = new ContainerLog(spec.id, spec.logBytes);
    this.#output = new ContainerOutput(this.log);
  }

  get spec(): GuestContainerSpec { return this.#spec; }
  /** Its specification, under the id that the guest knows its places by. */
  get placed(): GuestContainerSpec { return { ...this.#spec, id: this.#place }; }
  get isRunning(): boolean { return this.#phase === 'running' || this.#phase === 'stopping'; }

  /** Whether its files are mounted from this disk, or will be when it starts again by itself. */
  uses(serial: string): boolean {
    return this.#phase !== 'exited' && (this.#spec.imageSerial === serial || this.#spec.mounts.some((mount) => mount.kind === 'volume' && mount.serial === serial));
  }

  state(): GuestContainerState {
    return {
      id: this.#spec.id, digest: this.#spec.digest, phase: this.#settling ? 'created' : this.#phase, pid: this.#pid, startedAtMs: this.#startedAtMs, finishedAtMs: this.#finishedAtMs,
      exitCode: this.#exitCode, oomKilled: this.#oomKilled, restarts: this.#restarts,
      health: this.#probe === undefined ? 'none' : this.#probe.health, lastProbe: this.#lastProbe, error: this.#error, cloned: this.#cloned,
    };
  }

  inside(): Inside {
    if (!this.isRunning || this.#pid <= 1) throw new Error('the container does not run');
    return { pid: this.#pid, cgroup: `/strata/${this.#place}`, env: this.#spec.env, cwd: this.#spec.cwd, user: this.#spec.user, extraGroups: this.#spec.extraGroups };
  }

  /** Makes it run, as a new wish: counters start over. Returns when its process runs or could not be started. */
  async start(): Promise<void> {
    this.#stopAsked = false;
    this.#restarts = 0;
    this.#failures = 0;
    this.#clearTimers();
    await this.#launch();
  }

  #launch(): Promise<void> {
    this.#launching = this.#prepareAndRun();
    return this.#launching;
  }

  async #prepareAndRun(): Promise<void> {
    this.#clearTimers();
    this.#error = '';
    this.#oomKilled = false;
    try {
      const bundle = prepareBundle(this.placed);
      await makeNamespace(this.#place, this.#spec.network);
      await this.#create(bundle);
    } catch (error) {
      this.#couldNotStart((error as Error).message);
    }
  }

  async #create(bundle: Bundle): Promise<void> {
    const child = this.#output.open(this.#spec.tty);
    try {
      this.#runs(await launchContainer(this.placed, bundle, child));
    } finally {
      for (const fd of new Set(child)) os.close(fd);
    }
  }

  #runs({ pid, ended }: Launched): void {
    this.#pid = pid;
    this.#phase = 'running';
    this.#startedAtMs = Date.now();
    this.#startedMonotonic = sys.monotonic();
    this.#exitCode = -1;
    this.#probe = this.#spec.health === null ? undefined : newProbeState(this.#startedMonotonic);
    this.#lastProbe = null;
    void ended.then((code) => this.#ended(code));
    this.#changed(this.state());
    this.#probeLater();
  }

  async #ended(code: number): Promise<void> {
    this.#clearTimers();
    this.#endStandstill();
    this.#cloned = false;
    const ranMs = sys.monotonic() - this.#startedMonotonic;
    this.#oomKilled = code === 137 && oomKills(this.#place) > 0;
    this.#finishedAtMs = Date.now();
    this.#exitCode = code;
    this.#pid = 0;
    await removeCgroup(this.#place);
    this.#output.end();
    removeNamespace(this.#place);
    unmountBundle(this.placed);
    this.#failures = ranMs >= goodRunMs ? 1 : this.#failures + 1;
    this.#afterEnd();
  }

  #couldNotStart(why: string): void {
    this.#output.end();
    removeNamespace(this.#place);
    unmountBundle(this.placed);
    this.#error = why;
    this.#exitCode = 125;
    this.#pid = 0;
    this.#finishedAtMs = Date.now();
    this.#failures += 1;
    this.#afterEnd();
  }

  #afterEnd(): void {
    this.#probe = undefined;
    const again = !this.#stopAsked && shouldRestart(this.#spec.restart, this.#exitCode, this.#restarts);
    this.#phase = again ? 'waiting' : 'exited';
    if (again) {
      this.#timer = after(backOffMs(this.#failures), () => {
        this.#restarts += 1;
        void this.#launch();
      });
    }
    this.#changed(this.state());
    for (const tell of this.#onGone.splice(0)) tell();
  }

  /** Signal, grace, kill. No restart follows. Resolves when it is gone. */
  async stop(signal: string | undefined, graceMs: number): Promise<void> {
    const number = signalNumber(signal ?? this.#spec.stopSignal);
    this.#stopAsked = true;
    this.thaw();
    if (this.#timer === undefined) await this.#launching;
    if (this.#phase === 'waiting') {
      this.#clearTimers();
      this.#phase = 'exited';
      this.#changed(this.state());
    }
    if (!this.isRunning) return;
    this.#phase = 'stopping';
    this.#clearTimers();
    this.#changed(this.state());
    const gone = new Promise<void>((resolve) => { this.#onGone.push(resolve); });
    if (this.#pid > 1) sys.kill(this.#pid, number);
    const kill = after(graceMs, () => { if (this.#pid > 1) sys.kill(this.#pid, 9); });
    await gone;
    cancel(kill);
  }

  kill(signal: string): void {
    const number = signalNumber(signal);
    if (this.isRunning && this.#pid > 1) sys.kill(this.#pid, number);
  }

  /** Stops it and forgets its files and logs. */
  async remove(): Promise<void> {
    await this.stop(undefined, this.#spec.stopGraceMs);
    this.#forget();
  }

  /** At once: it did nothing yet that would have to be ended well. */
  async drop(): Promise<void> {
    if (this.#pid > 1) sys.kill(this.#pid, 9); // before it is thawed
    await this.stop('SIGKILL', 0);
    this.#forget();
  }

  #forget(): void {
    this.#clearTimers();
    removeBundle(this.placed);
    this.log.remove();
  }

  #probeLater(): void {
    const test = this.#spec.health;
    const state = this.#probe;
    if (test === null || state === undefined || this.#phase !== 'running' || this.#settling || this.#standstill !== undefined) return;
    cancel(this.#probeTimer);
    this.#probeTimer = after(nextProbeMs(state, test, sys.monotonic()), () => { void this.#probeNow(); });
  }

  async #probeNow(): Promise<void> {
    const test = this.#spec.health;
    const [pid, asked] = [this.#pid, this.#probe];
    if (test === null || this.#phase !== 'running') return;
    const result = await this.#ask(test);
    if (this.#pid !== pid || this.#phase !== 'running' || this.#probe !== asked || asked === undefined || this.#standstill !== undefined) return; // another one by now, or it stood still
    const [before, known] = [asked.health, this.#lastProbe];
    this.#probe = afterProbe(asked, test, result.ok, sys.monotonic());
    this.#lastProbe = { atMs: Date.now(), ok: result.ok, output: result.output };
    // While it starts it is asked many times, and mostly says the same: that is told once.
    if (this.#probe.health !== before || (before === 'starting' && !result.ok && (known?.ok !== false || known.output !== result.output))) this.#changed(this.state());
    this.#probeLater();
  }

  /** Runs a program inside to its end; for probes. */
  async run(argv: readonly string[], limitMs: number): Promise<{ readonly code: number; readonly output: string }> {
    await this.thawed();
    const inside = this.inside();
    const { code, output, late } = await runToEnd(limitMs, (stdio) => spawnInside(inside, { argv, env: [], cwd: '', user: '', stdio, terminal: false }));
    return late ? { code: 124, output: `${output}\nthe probe did not end within ${limitMs} ms` } : { code, output };
  }

  #ask(test: NonNullable<GuestContainerSpec['health']>): Promise<ProbeResult> {
    return probe(this.#place, this.#spec.network?.address ?? '127.0.0.1', test.test, test.timeoutMs, (argv, limitMs) => this.run(argv, limitMs));
  }

  /** Nothing of it runs until it is thawed; whoever froze it may never come back. */
  async freeze(limitMs: number): Promise<void> {
    if (this.#phase !== 'running' || this.#settling) throw new Error('the container does not run');
    cancel(this.#standstill?.timer);
    this.#standstill ??= new Standstill();
    this.#standstill.timer = after(limitMs, () => this.thaw());
    cancel(this.#probeTimer);
    try { await freezeCgroup(this.#place); } catch (error) {
      this.thaw();
      throw error;
    }
  }

  thaw(): void {
    if (this.#standstill === undefined) return;
    thawCgroup(this.#place);
    this.#endStandstill();
    this.#probeLater();
  }

  #endStandstill(): void {
    this.#standstill?.end();
    this.#standstill = undefined;
  }

  /** A program that is started in it while it stands still would keep the agent waiting. */
  async thawed(): Promise<void> {
    while (this.#standstill !== undefined) await this.#standstill.over;
  }

  /** Goes on as another one, in a guest that has it from the memory of another. @throws Error where it does not; then it is to be dropped */
  async goOnAs(spec: GuestContainerSpec, command: readonly string[] | null, limitMs: number): Promise<void> {
    if (this.#phase !== 'running') throw new Error('it does not run any more');
    const [before, pid] = [this.#spec, this.#pid];
    this.#clearTimers();
    [this.#spec, this.#settling, this.#cloned, this.#restarts, this.#failures] = [spec, true, true, 0, 0];
    [this.#startedAtMs, this.#startedMonotonic, this.#lastProbe] = [Date.now(), sys.monotonic(), null];
    this.#probe = spec.health === null ? undefined : newProbeState(this.#startedMonotonic);
    cancel(this.#standstill?.timer);
    this.#standstill ??= new Standstill(); // it may have been thawed meanwhile
    await freezeCgroup(this.#place);
    await becomeAnother(this.#place, pid, before, spec);
    this.log.restart();
    this.thaw();
    const end = sys.monotonic() + limitMs;
    if (command !== null) await this.#runHook(command, limitMs);
    await this.#untilHealthy(end);
    if (this.#pid !== pid || this.#phase !== 'running') throw new Error(`it ended with exit code ${this.#exitCode}`);
    this.#settling = false;
    this.#changed(this.state());
    this.#probeLater();
  }

  async #runHook(command: readonly string[], limitMs: number): Promise<void> {
    const { code, output } = await this.run(command, limitMs);
    if (code !== 0) throw new Error(`${command[0] ?? ''} ended with exit code ${code}: ${output.trim().slice(-500)}`);
  }

  /** It was healthy where it comes from: it answers at once, or not at all. */
  async #untilHealthy(end: number): Promise<void> {
    const test = this.#spec.health;
    if (test === null) return;
    for (let tried = 1; ; tried += 1) {
      const result = await this.#ask(test);
      this.#lastProbe = { atMs: Date.now(), ok: result.ok, output: result.output };
      if (result.ok) break;
      if (tried >= test.retries || sys.monotonic() > end || this.#phase !== 'running') throw new Error(`its health check fails: ${result.output.trim().slice(-500)}`);
      await pause(askAgainMs);
    }
    this.#probe = { ...newProbeState(sys.monotonic()), health: 'healthy' };
  }

  stats(): ContainerStats {
    return containerStats(this.#place);
  }

  #clearTimers(): void {
    cancel(this.#timer);
    cancel(this.#probeTimer);
    this.#timer = undefined;
    this.#probeTimer = undefined;
  }
}

/** From its freezing until it is thawed or has ended; the timer thaws what nobody comes back for. */
class Standstill {
  timer: Timer | undefined;
  readonly over: Promise<void>;
  #tell: () => void = () => undefined;

  constructor() { this.over = new Promise((resolve) => { this.#tell = resolve; }); }

  end(): void {
    cancel(this.timer);
    this.#tell();
  }
}
