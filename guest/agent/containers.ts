/**
 * Containers: made with crun, watched, probed and started again by the agent alone, whether or not the host
 * listens. One object per container; `changed` is called after each change of what it would tell.
 *
 *   created ─► running ─► exited ─► waiting (back-off) ─► running …
 *                 └─► stopping ─► exited          (asked to stop: no restart follows)
 */
import * as os from 'os';
import * as sys from 'sys';
import type { GuestContainerSpec, GuestContainerState } from '../protocol/messages.ts';
import { backOffMs, goodRunMs, shouldRestart } from './back-off.ts';
import { prepareBundle, removeBundle, unmountBundle } from './bundle.ts';
import { onExit, runProgram } from './children.ts';
import type { Inside } from './enter.ts';
import { spawnInside } from './enter.ts';
import { openFile, readText } from './files.ts';
import { ContainerLog } from './logs.ts';
import { makeNamespace, removeNamespace } from './network.ts';
import { probe } from './probes.ts';
import { afterProbe, newProbeState, nextProbeMs, type ProbeState } from './probe-state.ts';
import { signalNumber } from './signals.ts';

const crunLimitMs = 120_000;

export class Container {
  #spec: GuestContainerSpec;
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
  #timer: object | undefined;
  #probeTimer: object | undefined;
  #onGone: (() => void)[] = [];
  readonly log: ContainerLog;
  readonly #changed: (state: GuestContainerState) => void;

  constructor(spec: GuestContainerSpec, changed: (state: GuestContainerState) => void) {
    this.#spec = spec;
    this.#changed = changed;
    this.log = new ContainerLog(spec.id, spec.logBytes);
  }

  get spec(): GuestContainerSpec { return this.#spec; }
  get isRunning(): boolean { return this.#phase === 'running' || this.#phase === 'stopping'; }

  state(): GuestContainerState {
    return {
      id: this.#spec.id, digest: this.#spec.digest, phase: this.#phase, pid: this.#pid, startedAtMs: this.#startedAtMs, finishedAtMs: this.#finishedAtMs,
      exitCode: this.#exitCode, oomKilled: this.#oomKilled, restarts: this.#restarts,
      health: this.#probe === undefined ? 'none' : this.#probe.health, lastProbe: this.#lastProbe, error: this.#error,
    };
  }

  inside(): Inside {
    if (!this.isRunning || this.#pid <= 1) throw new Error('the container does not run');
    return { pid: this.#pid, cgroup: `/strata/${this.#spec.id}`, env: this.#spec.env, cwd: this.#spec.cwd, user: this.#spec.user };
  }

  /** Makes it run, as a new wish: counters start over. Returns when its process runs or could not be started. */
  async start(): Promise<void> {
    this.#stopAsked = false;
    this.#restarts = 0;
    this.#failures = 0;
    await this.#launch();
  }

  async #launch(): Promise<void> {
    this.#clearTimers();
    this.#error = '';
    this.#oomKilled = false;
    try {
      const bundle = prepareBundle(this.#spec);
      makeNamespace(this.#spec.id, this.#spec.network);
      await this.#create(bundle);
    } catch (error) {
      this.#couldNotStart((error as Error).message);
    }
  }

  async #create(bundle: string): Promise<void> {
    const { id } = this.#spec;
    const [outRead, outWrite] = sys.pipe();
    const [errRead, errWrite] = sys.pipe();
    const nothing = openFile('/dev/null', os.O_RDONLY);
    const pidFile = `/run/containers/${id}.pid`;
    // crun hands its own stdio to the container, so what it says itself goes to a file.
    const sayings = `/run/containers/${id}.crun`;
    os.remove(sayings);
    try {
      const pid = sys.spawn({
        argv: ['/usr/bin/crun', '--root', '/run/crun', '--log', `file:${sayings}`, 'run', '--detach', '--pid-file', pidFile, '--bundle', bundle, id],
        env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'XDG_RUNTIME_DIR=/run'], stdio: [nothing, outWrite, errWrite],
      });
      for (const fd of [nothing, outWrite, errWrite]) os.close(fd);
      this.#spool(outRead, 1);
      this.#spool(errRead, 2);
      const code = await ended(pid, crunLimitMs);
      const started = Number(readText(pidFile) ?? 0);
      if (code !== 0 || started <= 1) throw new Error(`crun: ${(readText(sayings) ?? '').trim().split('\n').pop() || `exit code ${code}`}`);
      this.#runs(started);
    } catch (error) {
      await runProgram(['/usr/bin/crun', '--root', '/run/crun', 'delete', '--force', id], 30_000);
      throw error;
    }
  }

  #spool(fd: number, stream: number): void {
    sys.nonblocking(fd);
    const buffer = new ArrayBuffer(16_384);
    os.setReadHandler(fd, () => {
      const count = sys.read(fd, buffer);
      if (count > 0) this.log.write(stream, new Uint8Array(buffer.slice(0, count)));
      else if (count === 0) {
        os.setReadHandler(fd, null);
        os.close(fd);
      }
    });
  }

  #runs(pid: number): void {
    this.#pid = pid;
    this.#phase = 'running';
    this.#startedAtMs = Date.now();
    this.#exitCode = -1;
    this.#probe = this.#spec.health === null ? undefined : newProbeState(Date.now());
    onExit(pid, (code) => { void this.#ended(code); });
    this.#changed(this.state());
    if (this.#spec.health !== null) this.#probeLater(true);
  }

  async #ended(code: number): Promise<void> {
    this.#clearTimers();
    const ranMs = Date.now() - this.#startedAtMs;
    this.#oomKilled = code === 137 && this.#oomKills() > 0;
    this.#finishedAtMs = Date.now();
    this.#exitCode = code;
    this.#pid = 0;
    await runProgram(['/usr/bin/crun', '--root', '/run/crun', 'delete', '--force', this.#spec.id], 30_000);
    this.log.finish();
    removeNamespace(this.#spec.id);
    unmountBundle(this.#spec);
    this.#failures = ranMs >= goodRunMs ? 1 : this.#failures + 1;
    this.#afterEnd();
  }

  #couldNotStart(why: string): void {
    removeNamespace(this.#spec.id);
    unmountBundle(this.#spec);
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
      this.#timer = os.setTimeout(() => {
        this.#restarts += 1;
        void this.#launch();
      }, backOffMs(this.#failures));
    }
    this.#changed(this.state());
    for (const tell of this.#onGone.splice(0)) tell();
  }

  /** Signal, grace, kill. No restart follows. Resolves when it is gone. */
  async stop(signal: string | undefined, graceMs: number): Promise<void> {
    this.#stopAsked = true;
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
    sys.kill(this.#pid, signalNumber(signal ?? this.#spec.stopSignal));
    const kill = os.setTimeout(() => { if (this.#pid > 1) sys.kill(this.#pid, 9); }, graceMs);
    await gone;
    os.clearTimeout(kill);
  }

  kill(signal: string): void {
    if (this.isRunning) sys.kill(this.#pid, signalNumber(signal));
  }

  /** Stops it and forgets its files and logs. */
  async remove(): Promise<void> {
    await this.stop(undefined, this.#spec.stopGraceMs);
    this.#clearTimers();
    removeBundle(this.#spec);
    this.log.remove();
  }

  #probeLater(first: boolean): void {
    const test = this.#spec.health;
    const state = this.#probe;
    if (test === null || state === undefined || this.#phase !== 'running') return;
    this.#probeTimer = os.setTimeout(() => { void this.#probeNow(); }, nextProbeMs(state, test, Date.now(), first));
  }

  async #probeNow(): Promise<void> {
    const test = this.#spec.health;
    const pid = this.#pid;
    if (test === null || this.#phase !== 'running') return;
    const result = await probe(this.#spec.id, test.test, test.timeoutMs, (argv, limitMs) => this.run(argv, limitMs));
    if (this.#pid !== pid || this.#phase !== 'running' || this.#probe === undefined) return;
    const before = this.#probe.health;
    this.#probe = afterProbe(this.#probe, test, result.ok, Date.now());
    this.#lastProbe = { atMs: Date.now(), ok: result.ok, output: result.output };
    if (this.#probe.health !== before || (!result.ok && before === 'starting')) this.#changed(this.state());
    this.#probeLater(false);
  }

  /** Runs a program inside to its end; for probes. */
  run(argv: readonly string[], limitMs: number): Promise<{ readonly code: number; readonly output: string }> {
    return new Promise((resolve, reject) => {
      const [readEnd, writeEnd] = sys.pipe();
      const nothing = openFile('/dev/null', os.O_RDONLY);
      let pid: number;
      try {
        pid = spawnInside(this.inside(), { argv, env: [], cwd: '', user: '', stdio: [nothing, writeEnd, writeEnd], terminal: false });
      } catch (error) {
        os.close(readEnd);
        return reject(error);
      } finally {
        os.close(nothing);
        os.close(writeEnd);
      }
      sys.nonblocking(readEnd);
      let output = '';
      const drain = (): void => {
        const buffer = new ArrayBuffer(4096);
        for (let count = sys.read(readEnd, buffer); count > 0; count = sys.read(readEnd, buffer)) output = (output + sys.decode(buffer, 0, count)).slice(-4096);
      };
      let late = false;
      const timer = os.setTimeout(() => { late = true; sys.kill(-pid, 9); sys.kill(pid, 9); }, limitMs);
      onExit(pid, (code) => {
        os.clearTimeout(timer);
        drain();
        os.close(readEnd);
        resolve(late ? { code: 124, output: `${output}\nthe probe did not end within ${limitMs} ms` } : { code, output });
      });
    });
  }

  #oomKills(): number {
    return Number(/^oom_kill (\d+)/m.exec(readText(`/sys/fs/cgroup/strata/${this.#spec.id}/memory.events`) ?? '')?.[1] ?? 0);
  }

  stats(): { cpuNanos: number; memoryBytes: number; memoryPeakBytes: number; pids: number; oomKills: number } {
    const folder = `/sys/fs/cgroup/strata/${this.#spec.id}`;
    const number = (name: string) => Number((readText(`${folder}/${name}`) ?? '0').trim()) || 0;
    return {
      cpuNanos: Number(/^usage_usec (\d+)/m.exec(readText(`${folder}/cpu.stat`) ?? '')?.[1] ?? 0) * 1000,
      memoryBytes: number('memory.current'), memoryPeakBytes: number('memory.peak'), pids: number('pids.current'), oomKills: this.#oomKills(),
    };
  }

  #clearTimers(): void {
    if (this.#timer !== undefined) os.clearTimeout(this.#timer);
    if (this.#probeTimer !== undefined) os.clearTimeout(this.#probeTimer);
    this.#timer = undefined;
    this.#probeTimer = undefined;
  }
}

function ended(pid: number, limitMs: number): Promise<number> {
  return new Promise((resolve) => {
    const timer = os.setTimeout(() => { sys.kill(pid, 9); }, limitMs);
    onExit(pid, (code) => {
      os.clearTimeout(timer);
      resolve(code);
    });
  });
}
