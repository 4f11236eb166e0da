/**
 * One VMM that this daemon knows to run: holds the line to its agent (one, shared by all), gives the guest its
 * identity before anybody may use it, looks at its health, and tells what changes. It decides nothing.
 */
import { asStrataError, StrataError, type Clock, type Dice, type Log } from '#base';
import type { AgentCalls, GuestHello } from '#guest-protocol';
import { openAgentConnection, type OpenedAgentConnection } from './agent/open-agent-connection.ts';
import type { RunningMachine, VmmExit } from './engine.ts';
import type { MachineSpec } from './machine.ts';
import { guestIdentity } from './guest-identity.ts';
import type { AgentConnection } from './machines.ts';
import type { MachinePolicy } from './machine-policy.ts';
import type { VmmRunning } from './plan-machine.ts';

export interface SessionListener {
  /** The guest has its identity; before this nobody gets its agent. Awaited. */
  answered(hello: GuestHello): Promise<void>;
  troubled(why: string): Promise<void>;
  recovered(): Promise<void>;
  ended(exit: VmmExit): Promise<void>;
}

export interface MachineSessionDeps {
  readonly machine: RunningMachine;
  readonly spec: MachineSpec;
  /** Boot of the guest that has its identity already, as an earlier daemon recorded. */
  readonly knownGuestBootId: string | null;
  /** As it was found. */
  readonly paused: boolean;
  /** The guest's clock stood still, and nobody has said yet that it was set. */
  readonly clockStale: boolean;
  readonly listener: SessionListener;
  readonly policy: MachinePolicy;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
}

export interface MachineSession {
  readonly machine: RunningMachine;
  readonly exit: VmmExit | undefined;
  seen(): VmmRunning;
  /** @throws StrataError `agent.timeout`, `machine.notRunning` */
  agent(timeoutMs: number): Promise<AgentConnection>;
  /** Its silence is nothing from here on, until `resume`, which returns when the guest's clock is right. Both are idempotent. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Its end is seen like any. Where it cannot be written down it goes on. */
  suspend(): Promise<void>;
  /** While it is copied it may stand still for a moment; after that the guest's clock is right. */
  copy(work: () => Promise<void>): Promise<void>;
  /** Asks the guest to power off, once; what comes of it is seen later. */
  powerOff(): void;
  /** Disk changes of one machine, one after the other. */
  inTurn<T>(work: () => Promise<T>): Promise<T>;
  /** Lets go of it without touching it. */
  release(): Promise<void>;
}

const reconnectMs = { first: 50, longest: 2000 };
/**
 * For the first word of a guest that has been heard before; the line is opened anew then. QEMU (7.2, hw/char/virtio-console.c)
 * may find out that an earlier host has gone by failing to write to it; then it holds back what the guest says on the next line,
 * until that is closed too.
 */
export const firstWordMs = { first: 1000, longest: 10_000 };

export function openMachineSession(deps: MachineSessionDeps): MachineSession {
  const { machine, spec, listener, policy, clock, log } = deps;
  const hasAgent = spec.boot.kind === 'guest-os';
  const end = new AbortController();
  const began = clock.monotonic();
  const waiting = new Set<() => void>();
  let [identified, awaitedSince] = [deps.knownGuestBootId, began];
  let connection: OpenedAgentConnection | undefined;
  let trouble: { what: 'vmm' | 'agent'; readonly since: number; why: string } | null = null;
  let stoppingSince: number | undefined;
  let { paused, clockStale } = deps;
  /** What was asked before a pause may be answered after it, or never: it proves nothing. */
  let pauses = 0;
  let exit: VmmExit | undefined;
  const inTurn = turns();
  const wakeWaiting = () => { for (const wake of waiting) wake(); waiting.clear(); };
  const over = () => end.signal.aborted || exit !== undefined;
  const pause = (milliseconds: number) => clock.wait(milliseconds, end.signal).catch(() => undefined);

  async function connect(failures: number): Promise<void> {
    const line = await machine.openAgentLine();
    const opened = await openAgentConnection(line, { clock, dice: deps.dice, log, signal: end.signal, handshakeMs: identified === null ? firstWordMs.longest : Math.min(firstWordMs.longest, firstWordMs.first * 2 ** Math.min(failures, 8)) });
    try {
      if (opened.hello.bootId !== identified || clockStale) {
        await opened.call('configure', guestIdentity(spec, clock, deps.dice));
      }
      await listener.answered(opened.hello);
      end.signal.throwIfAborted(); // let go of meanwhile: nobody else would close this line, and the release waits for its end
    } catch (thrown) {
      opened.close();
      throw thrown;
    }
    identified = opened.hello.bootId;
    clockStale = false;
    connection = opened;
    trouble = null;
    wakeWaiting();
  }

  async function keepAgent(): Promise<void> {
    for (let failures = 0; !over();) {
      while (paused && !over()) await toGoOn();
      if (over()) return;
      try {
        await connect(failures);
        failures = 0;
        await connection?.closed;
        if (connection?.lostBecause !== undefined) log.warn({ machineId: machine.id, code: connection.lostBecause.code }, connection.lostBecause.message);
      } catch (thrown) {
        failures += 1;
        if (!over()) log.debug({ machineId: machine.id, error: asStrataError(thrown, 'agent').message }, 'no line to the agent yet');
      }
      connection = undefined;
      awaitedSince = clock.monotonic();
      await pause(Math.min(reconnectMs.longest, reconnectMs.first * 2 ** Math.min(failures, 8)));
    }
  }

  async function look(): Promise<void> {
    if (paused) return;
    const pausesBefore = pauses;
    const silent = await agentSilence();
    const stuck = silent !== undefined || connection === undefined ? await vmmSilence() : undefined;
    if (over() || pauses !== pausesBefore) return;
    const why = stuck ?? silent;
    if (why === undefined) {
      if (trouble === null) return;
      trouble = null;
      return listener.recovered();
    }
    const what = stuck === undefined ? 'agent' as const : 'vmm' as const;
    // It may only be out of step, by a frame that was never finished and takes all that is said since for its own: a reset ends that.
    if (what === 'agent' && trouble?.what === 'agent' && clock.monotonic() - trouble.since >= policy.silentLimitMs / 3) connection?.close();
    if (trouble?.why === why) return;
    // A VMM found stuck under a guest known to be silent has its own, shorter, time from now on.
    trouble = { what, why, since: trouble !== null && trouble.what === what ? trouble.since : clock.monotonic() };
    await listener.troubled(why);
  }

  async function agentSilence(): Promise<string | undefined> {
    if (!hasAgent) return undefined;
    if (connection !== undefined) {
      return connection.call('ping', {}, { timeoutMs: policy.answerLimitMs }).then(() => undefined, (thrown: unknown) => (thrown instanceof StrataError && thrown.code === 'agent.timeout' ? 'its guest\'s agent does not answer' : undefined));
    }
    // A line that was lost gets time to be opened again, but not where it was silent already.
    if (identified === null || (trouble?.what !== 'agent' && clock.monotonic() - awaitedSince < policy.answerLimitMs)) return undefined;
    return 'the line to its guest\'s agent cannot be opened';
  }

  /** Asked once the guest was silent for its time; a VMM answers much sooner than a guest that is busy. */
  async function vmmSilence(): Promise<string | undefined> {
    return limited(clock, end.signal, machine.disks(), policy.answerLimitMs * 0.4).then(() => undefined, () => (over() ? undefined : 'its VMM does not answer'));
  }

  async function keepLooking(): Promise<void> {
    while (!over()) {
      await pause(policy.lookEveryMs);
      if (!over()) await look().catch((thrown: unknown) => log.warn({ machineId: machine.id, error: asStrataError(thrown, 'health').message }, 'the health of a machine could not be recorded'));
    }
  }

  /** Resolves when it goes on, or is over. */
  function toGoOn(): Promise<void> {
    return new Promise((resolve) => { waiting.add(resolve); });
  }

  async function pauseVmm(): Promise<void> {
    if (paused) return;
    [paused, trouble, pauses] = [true, null, pauses + 1];
    wakeWaiting(); // who waits for the agent is told
    try { await machine.pause(); } catch (thrown) {
      paused = false;
      wakeWaiting();
      throw thrown;
    }
  }

  async function resumeVmm(): Promise<void> {
    if (!paused) return;
    clockStale = true;
    await machine.resume();
    await setGuestClock();
    paused = false;
    pauses += 1;
    awaitedSince = clock.monotonic();
    wakeWaiting();
  }

  async function setGuestClock(): Promise<void> {
    if (connection !== undefined && await configured(connection, guestIdentity(spec, clock, deps.dice), policy.answerLimitMs)) clockStale = false;
  }

  async function copyVmm(work: () => Promise<void>): Promise<void> {
    [pauses, clockStale] = [pauses + 1, true];
    try { await work(); } finally {
      [pauses, awaitedSince] = [pauses + 1, clock.monotonic()];
      if (!paused && !over()) await setGuestClock();
    }
  }

  async function suspendVmm(): Promise<void> {
    if (machine.suspend === undefined) throw new StrataError(`the engine of machine ${spec.name} cannot suspend it`, { code: 'machine.engineCannot', kind: 'refused' });
    await pauseVmm();
    try { await machine.suspend(); } catch (thrown) {
      if (!over()) await resumeVmm();
      throw thrown;
    }
    await machine.exited; // so that nobody takes it for running any more
  }

  const agentKept = hasAgent ? keepAgent() : Promise.resolve();
  const looked = keepLooking();
  void machine.exited.then(async (how) => {
    if (end.signal.aborted) return;
    exit = how;
    connection?.close();
    end.abort();
    wakeWaiting();
    await listener.ended(how);
  }).catch((thrown: unknown) => log.warn({ machineId: machine.id, error: asStrataError(thrown, 'exit').message }, 'the end of a machine could not be recorded'));

  return {
    machine,
    get exit() { return exit; },
    seen: () => ({
      state: 'running', agent: !hasAgent ? 'none' : connection === undefined ? 'awaited' : 'ready', knownMs: clock.monotonic() - began, paused,
      trouble: trouble === null ? null : { what: trouble.what, why: trouble.why, forMs: clock.monotonic() - trouble.since },
      stoppingMs: stoppingSince === undefined ? null : clock.monotonic() - stoppingSince,
    }),
    async agent(timeoutMs) {
      const until = clock.monotonic() + timeoutMs;
      for (;;) {
        if (over()) throw notRunning(spec.name, 'its VMM has ended');
        if (paused) throw isPaused(spec.name);
        if (connection !== undefined) return connection;
        if (!hasAgent) throw new StrataError(`machine ${spec.name} boots a disk of its own and has no agent`, { code: 'machine.noAgent', kind: 'refused' });
        const left = until - clock.monotonic();
        if (left <= 0) throw new StrataError(`the agent of machine ${spec.name} did not answer within ${timeoutMs} ms`, { code: 'agent.timeout', kind: 'timeout', advice: 'see `strata machine logs`' });
        await awaitWaking(clock, waiting, left);
      }
    },
    pause: () => inTurn(pauseVmm), resume: () => inTurn(resumeVmm), suspend: () => inTurn(suspendVmm), copy: (work) => inTurn(() => copyVmm(work)),
    powerOff() {
      if (stoppingSince !== undefined) return;
      stoppingSince = clock.monotonic();
      const graceMs = Math.max(0, policy.stopGraceMs - 10_000);
      const asked = connection === undefined ? machine.pressPowerButton() : connection.call('powerOff', { graceMs }, { timeoutMs: policy.stopGraceMs });
      asked.then(() => undefined, (thrown: unknown) => log.debug({ machineId: machine.id, error: asStrataError(thrown, 'power off').message }, 'the guest did not confirm that it powers off'));
    },
    inTurn,
    async release() {
      end.abort();
      connection?.close();
      wakeWaiting();
      await Promise.all([agentKept, looked]);
      await machine.release();
    },
  };
}

/** A line on which it cannot be said is closed: it is opened again, which says it. */
const configured = (line: OpenedAgentConnection, identity: AgentCalls['configure']['params'], timeoutMs: number): Promise<boolean> => line.call('configure', identity, { timeoutMs }).then(() => true, () => { line.close(); return false; });

/** @throws StrataError `machine.silent` */
async function limited<T>(clock: Clock, end: AbortSignal, work: Promise<T>, milliseconds: number): Promise<T> {
  const limit = new AbortController();
  const late = clock.wait(milliseconds, AbortSignal.any([limit.signal, end])).then(() => { throw new StrataError(`no answer within ${milliseconds} ms`, { code: 'machine.silent', kind: 'timeout' }); });
  late.catch(() => undefined);
  try { return await Promise.race([work, late]); } finally { limit.abort(); }
}

async function awaitWaking(clock: Clock, waiting: Set<() => void>, limitMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  waiting.add(resolve);
  const limit = new AbortController();
  await Promise.race([promise, clock.wait(limitMs, limit.signal).catch(() => undefined)]);
  limit.abort();
  waiting.delete(resolve);
}

/** Runs one work after the other. */
function turns(): MachineSession['inTurn'] {
  let tail: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = tail.then(work, work);
    tail = mine.then(() => undefined, () => undefined);
    return mine;
  };
}

export function isPaused(name: string): StrataError {
  return new StrataError(`machine ${name} is paused`, { code: 'machine.paused', kind: 'unavailable', advice: `let it go on with \`strata machine resume ${name}\`` });
}

export function notRunning(name: string, why: string): StrataError {
  return new StrataError(`machine ${name} does not run: ${why}`, { code: 'machine.notRunning', kind: 'unavailable', advice: 'start it with `strata machine start`, or see why with `strata machine ls`' });
}
