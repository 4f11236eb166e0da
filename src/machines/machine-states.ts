/**
 * What happens to a machine's records when something is done or seen: pure functions from records to records.
 * Nothing else makes a status.
 *
 *   defined ─► starting ─► running ─► stopping ─► stopped ─► starting …
 *                 │  ▲        │ ▲ silence, answer                      running ◄─► paused; stopping ─► suspended ─► starting
 *                 ▼  │        ▼ │
 *               failed      unknown          any of them ─► failed or stopped when the VMM's end is proved
 */
import type { GuestHello } from '#guest-protocol';
import type { RunningMachine, StartedBy, VmmExit } from './engine.ts';
import type { EngineName, MachinePhase, MachineSpec, MachineStatus } from './machine.ts';
import type { MachinePolicy } from './machine-policy.ts';
import type { MachineRun } from './machine-run.ts';

/** The records of one machine that this layer writes. */
export interface MachineRecords {
  readonly status: MachineStatus | undefined;
  readonly run: MachineRun | undefined;
}

export function blankStatus(id: string): MachineStatus {
  return { id, phase: 'defined', why: '', engine: null, engineWhy: '', accelerator: null, isolation: null, process: null, guest: null, startedAt: null, bootMs: null, startedBy: null, exit: null, restarts: 0, generation: 0 };
}

/** Before the engine is asked to start it. */
export function starting(before: MachineRecords, spec: MachineSpec, { engine, why }: { readonly engine: EngineName; readonly why: string }, now: number): MachineRecords {
  const last = before.run;
  const again = last?.end === 'failure' || last?.end === 'restart' || last?.live === true;
  const restarts = (last?.restarts ?? 0) + (again ? 1 : 0);
  return {
    status: { ...blankStatus(spec.id), phase: 'starting', engine, engineWhy: why, startedAt: now, exit: before.status?.exit ?? null, restarts, generation: spec.generation },
    run: { id: spec.id, spec, engine, live: true, restartToken: spec.restartToken ?? null, restarts, failures: last?.failures ?? 0, startedAt: now, answeredAt: null, endedAt: null, end: null, memoryLost: last?.memoryLost ?? null },
  };
}

/** Its VMM runs: just started, or found by a later daemon. */
export function found(before: MachineRecords, machine: Pick<RunningMachine, 'process' | 'accelerator' | 'isolation' | 'startedBy'>): MachineRecords {
  const status = before.status;
  if (status === undefined) return before;
  const { bootId, pid, startTicks } = machine.process;
  const noAgent = before.run?.spec.boot.kind === 'disk';
  const phase: MachinePhase = status.phase === 'starting' && noAgent ? 'running' : ['starting', 'running', 'paused', 'stopping', 'unknown'].includes(status.phase) ? status.phase : 'starting';
  // Found alive after its start seemed to have failed: it goes on as if it had not.
  const run = before.run === undefined ? undefined : { ...before.run, endedAt: null, end: null };
  const startedBy = withLoss(machine.startedBy ?? { way: 'cold', why: '' }, before.run);
  return { run, status: { ...status, phase, process: { bootId, pid, startTicks }, accelerator: machine.accelerator, isolation: machine.isolation, startedBy: isSame(status.process, machine.process) ? status.startedBy ?? startedBy : startedBy } };
}

/** Memory is used up by the first start that goes on from it: what comes after one that failed boots, and knows of nothing but the record. */
function withLoss(startedBy: StartedBy, run: MachineRun | undefined): StartedBy {
  const lost = run?.memoryLost ?? null;
  return lost === null || startedBy.why !== '' || goesOnFromMemory(startedBy) ? startedBy : { ...startedBy, why: `it had gone on from memory, and that start came to nothing: ${lost}`.slice(0, 1000) };
}

const goesOnFromMemory = ({ way }: StartedBy): boolean => way === 'snapshot' || way === 'suspended';

/** Of a run that ends with this reason. */
function memoryLost({ status, run }: MachineRecords, why: string): string | null {
  if (run === undefined || run.answeredAt !== null) return null;
  return status?.startedBy != null && goesOnFromMemory(status.startedBy) ? why : run.memoryLost;
}

const isSame = (one: MachineStatus['process'], { pid, startTicks }: RunningMachine['process']): boolean => one !== null && one.pid === pid && one.startTicks === startTicks;

/** Another way than was wished, and why. */
export function startedOtherwise(before: MachineRecords, why: string): MachineRecords {
  const { status } = before;
  return status === undefined ? before : { ...before, status: { ...status, startedBy: { way: status.startedBy?.way ?? 'cold', why: why.slice(0, 1000) } } };
}

/** The guest's agent answered, has its identity, and can be used. */
export function answered(before: MachineRecords, hello: GuestHello, now: number): MachineRecords {
  const { status, run } = before;
  if (status === undefined || run === undefined || !run.live) return before;
  const first = run.answeredAt === null;
  const phase = status.phase === 'stopping' ? status.phase : 'running';
  return {
    status: {
      ...status, phase, why: phase === 'running' ? '' : status.why, guest: { bootId: hello.bootId, kernel: hello.kernel, architecture: hello.architecture },
      bootMs: first ? Math.max(0, now - run.startedAt) : status.bootMs,
    },
    run: first ? { ...run, answeredAt: now, memoryLost: null } : run,
  };
}

/** Alive as far as anybody knows, but silent. */
export function troubled(before: MachineRecords, why: string): MachineRecords {
  const status = before.status;
  if (status === undefined || status.phase === 'stopping') return before;
  return { ...before, status: { ...status, phase: 'unknown', why } };
}

/** It answers again. */
export function recovered(before: MachineRecords): MachineRecords {
  const { status } = before;
  if (status === undefined || status.phase !== 'unknown') return before;
  return { ...before, status: { ...status, phase: status.guest === null && before.run?.spec.boot.kind !== 'disk' ? 'starting' : 'running', why: '' } };
}

/** Its processors stand still, as wished. */
export function paused(before: MachineRecords): MachineRecords {
  const { status } = before;
  return status === undefined ? before : { ...before, status: { ...status, phase: 'paused', why: '' } };
}

/** They go on, and the guest's clock is right. */
export function resumed(before: MachineRecords): MachineRecords {
  const { status } = before;
  return status?.phase !== 'paused' ? before : { ...before, status: { ...status, phase: status.guest === null && before.run?.spec.boot.kind !== 'disk' ? 'starting' : 'running', why: '' } };
}

/** It could not be written down, or ended, and goes on. */
export function goesOn(before: MachineRecords, why: string): MachineRecords {
  const { status } = before;
  return status?.phase !== 'stopping' ? before : { ...before, status: { ...status, phase: 'running', why: why.slice(0, 1000) } };
}

export function stopping(before: MachineRecords, why: string): MachineRecords {
  const status = before.status;
  return status === undefined ? before : { ...before, status: { ...status, phase: 'stopping', why } };
}

export interface EndOfRun {
  readonly exit: VmmExit | null;
  /** Undefined where the wish was deleted. */
  readonly spec: MachineSpec | undefined;
  readonly hostRebooted: boolean;
  readonly now: number;
  readonly policy: MachinePolicy;
}

/** The end of its VMM is proved. Twice the same as once. */
export function ended(before: MachineRecords, end: EndOfRun): MachineRecords {
  const { run } = before;
  if (run === undefined || !run.live) return before;
  const at = end.exit?.at ?? end.now;
  const status = { ...(before.status ?? blankStatus(run.id)), process: null, guest: null, accelerator: null, isolation: null, startedBy: null };
  // A start that failed was told and counted already; here its end is proved only.
  if (run.endedAt !== null) return { status, run: { ...run, live: false } };
  const how = wayOfEnding(status.phase, end);
  const wellRun = run.answeredAt !== null && at - run.answeredAt >= end.policy.wellAfterMs;
  const failures = how !== 'failure' ? 0 : wellRun ? 1 : run.failures + 1;
  const clean = how !== 'failure' || (endedWell(end.exit) && !endedUnheard(run));
  const why = reasonOf(how, { run, status }, end);
  return {
    status: { ...status, phase: clean ? 'stopped' : 'failed', why, exit: end.exit === null ? null : { code: end.exit.code, signal: end.exit.signal, at, stderr: end.exit.stderr.slice(-4096) } },
    run: { ...run, live: false, endedAt: at, end: how, failures, memoryLost: how === 'failure' || how === 'hostReboot' ? memoryLost(before, why) : null },
  };
}

function wayOfEnding(phase: MachinePhase, end: EndOfRun): NonNullable<MachineRun['end']> {
  if (end.hostRebooted) return 'hostReboot';
  if (end.spec === undefined || end.spec.wanted === 'stopped' || (end.spec.wanted === 'suspended' && phase === 'stopping')) return 'wished';
  return phase === 'stopping' ? 'restart' : 'failure';
}

function reasonOf(how: NonNullable<MachineRun['end']>, { run, status }: { readonly run: MachineRun; readonly status: MachineStatus }, { exit }: EndOfRun): string {
  if (how === 'wished') return '';
  if (how === 'restart') return 'it is being restarted';
  if (how === 'hostReboot') return 'the host was restarted';
  const itself = endOfVmm(run, exit);
  // What was wrong with it before is why it was ended; how it ended is only what followed.
  if (status.phase === 'unknown' && status.why !== '' && (exit === null || exit.signal === 'SIGKILL')) return `${status.why}; ${itself}`;
  const last = exit === null ? '' : lastWords(exit.stderr);
  return endedWell(exit) || last === '' ? itself : `${itself}: ${last.slice(0, 300)}`;
}

function endOfVmm(run: MachineRun, exit: VmmExit | null): string {
  if (exit === null) return 'its VMM ended, nobody saw how';
  if (exit.signal !== null) return `its VMM was ended by ${exit.signal}`;
  if (exit.code !== 0) return `its VMM ended with exit code ${exit.code}`;
  return endedUnheard(run) ? `its guest ended before it answered; see \`strata machine logs ${run.spec.name}\`` : 'the guest switched itself off';
}

const endedWell = (exit: VmmExit | null): boolean => exit?.code === 0 && exit.signal === null;

/** A guest whose kernel panics ends its VMM as one does that switches itself off. */
const endedUnheard = (run: MachineRun): boolean => run.answeredAt === null && run.spec.boot.kind === 'guest-os';

/** What UML says of every start, before its kernel has a console. */
const saidByEveryUml = /^(?:Core dump limits :|\W*(?:soft|hard) - .*|Checking .*\.\.\.(?:OK|no|none found)|Failed to get host CPU features|Adding \d+ bytes to physical memory to account for exec-shield gap)$/;

/** Empty where it said nothing of its end. */
function lastWords(stderr: string): string {
  return stderr.split('\n').map((line) => line.trim()).findLast((line) => line !== '' && !saidByEveryUml.test(line)) ?? '';
}

/** The engine could not start it; that nothing of it runs is still to be proved. */
export function failedToStart(before: MachineRecords, why: string, now: number): MachineRecords {
  const { status, run } = before;
  if (status === undefined || run === undefined) return before;
  return { status: { ...status, phase: 'failed', why: why.slice(0, 1000) }, run: { ...run, endedAt: now, end: 'failure', failures: run.failures + 1, memoryLost: memoryLost(before, why) } };
}

/** It had come about, and what was to follow failed. One whose failure was told, or that never began, stays as it is. */
export function startUndone(before: MachineRecords, why: string, now: number): MachineRecords {
  return before.run?.live === true && before.run.endedAt === null ? failedToStart(before, why, now) : before;
}

/** Nothing runs and nothing is to be done, or can be: the status says so. */
export function settled(before: MachineRecords, spec: MachineSpec, phase: MachinePhase, why: string): MachineRecords {
  const status = before.status ?? blankStatus(spec.id);
  const { run } = before;
  const rested = spec.wanted === 'stopped' && run !== undefined && !run.live && (run.failures !== 0 || run.end !== 'wished');
  return { status: { ...status, phase, why, generation: spec.generation }, run: rested ? { ...run, failures: 0, end: 'wished' } : run };
}
