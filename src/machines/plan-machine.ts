/**
 * Decides what one machine needs next: pure, from wish, last start, what is seen of its VMM, and the time.
 *
 *   nothing runs, wished running      ─► tap ─► start; after a failure only when its pause is over
 *   nothing runs, wish deleted        ─► erase ─► remove tap ─► forget
 *   runs, to be gone or restarted     ─► power off (grace) ─► kill; the next round sees the end and goes on, also where it is wished back meanwhile
 *   runs, silent for too long         ─► kill; never a start beside it
 *   runs, wished paused, or back      ─► pause, resume; suspend; a paused one is resumed before it is powered off, and its silence is nothing
 *   lives but cannot be reached       ─► look again; end the process when the policy's time is over
 */
import type { MachinePhase, MachineSpec, MachineStatus } from './machine.ts';
import type { EngineChoice } from './choose-engine.ts';
import type { MachinePolicy } from './machine-policy.ts';
import { startPause, type MachineRun } from './machine-run.ts';

/** What is seen of the VMM. 'none' is a proof: nothing of this machine runs. */
export type VmmSeen =
  | { readonly state: 'none' }
  | VmmRunning
  | { readonly state: 'unknown'; readonly why: string; readonly forMs: number; readonly canEnd: boolean };

export interface VmmRunning {
  readonly state: 'running';
  /** 'none': a guest without our agent. */
  readonly agent: 'awaited' | 'ready' | 'none';
  readonly paused: boolean;
  readonly trouble: { readonly what: 'vmm' | 'agent'; readonly forMs: number; readonly why: string } | null;
  /** Since this daemon started or found it. */
  readonly knownMs: number;
  /** Since it was told to power off. */
  readonly stoppingMs: number | null;
}

export interface MachineSeen {
  /** Undefined where the wish was deleted. */
  readonly spec: MachineSpec | undefined;
  readonly status: MachineStatus | undefined;
  readonly run: MachineRun | undefined;
  readonly vmm: VmmSeen;
  readonly engine: EngineChoice;
  /** What is kept of one that is wished suspended and does not run. */
  readonly suspended?: { readonly why: string } | undefined;
  readonly now: number;
}

export type MachineOperationKind = 'machine.start' | 'machine.pause' | 'machine.resume' | 'machine.suspend' | 'machine.powerOff' | 'machine.kill' | 'machine.endProcess' | 'machine.erase' | 'machine.removeTap' | 'machine.forget';
export interface MachineOperation { readonly kind: MachineOperationKind; readonly subject: string; readonly summary: string }

export interface MachinePlan {
  readonly operations: readonly MachineOperation[];
  readonly waitingOn: readonly { readonly kind: string; readonly subject: string; readonly why: string }[];
  readonly againAfterMs?: number;
  /** What the status is to say; null: it says what it should already. */
  readonly settle: { readonly phase: MachinePhase; readonly why: string } | null;
}

/** Between looks at what cannot be reached, and at a guest whose line is being opened again. */
const lookAgainMs = 1000;
const idle: MachinePlan = { operations: [], waitingOn: [], settle: null };

export function planMachine(id: string, seen: MachineSeen, policy: MachinePolicy): MachinePlan {
  switch (seen.vmm.state) {
    case 'none': return planStart(id, seen, policy);
    case 'running': return planRunning(id, seen, seen.vmm, policy);
    case 'unknown': return planUnreachable(id, seen, seen.vmm, policy);
  }
}

function planStart(id: string, { spec, status, run, engine, suspended, now }: MachineSeen, policy: MachinePolicy): MachinePlan {
  if (spec === undefined) return planRemoval(id, status, run);
  if (spec.wanted === 'stopped') return { ...idle, settle: { phase: run === undefined ? 'defined' : 'stopped', why: '' } };
  if (spec.wanted === 'suspended') return { ...idle, settle: settledSuspended(status, run, suspended) };
  // Its memory is gone. What it was paused in cannot come back, and to boot it is another wish.
  if (spec.wanted === 'paused') return { ...idle, settle: { phase: status?.phase === 'failed' ? 'failed' : 'stopped', why: status?.why ?? '' } };
  if (engine.chosen === null) {
    const why = engine.refusals.map((one) => `${one.engine}: ${one.why}`).join('; ') || 'this host has no engine';
    return { operations: [], waitingOn: [{ kind: 'engine', subject: `machine/${id}`, why }], againAfterMs: 30_000, settle: { phase: 'failed', why: `no engine can run it: ${why}` } };
  }
  const pause = restartAsked(spec, run) ? 0 : startPause(run, now, policy);
  if (pause > 0) {
    return { operations: [], waitingOn: [{ kind: 'time', subject: `machine/${id}`, why: `${status?.why ?? 'it failed'}; it is started again ${Math.ceil(pause / 1000)} s from now (failure ${run?.failures ?? 0} in a row)` }], againAfterMs: pause, settle: null };
  }
  return { ...idle, operations: [operation('machine.start', id, `start machine ${spec.name} (${spec.memoryMiB} MiB, ${spec.processors} ${spec.processors === 1 ? 'processor' : 'processors'}, ${spec.architecture})`)] };
}

/** What became of it, by what is kept. */
function settledSuspended(status: MachineStatus | undefined, run: MachineRun | undefined, suspended: MachineSeen['suspended']): NonNullable<MachinePlan['settle']> {
  if (suspended !== undefined) return { phase: 'suspended', why: suspended.why };
  if (status?.phase === 'failed') return { phase: 'failed', why: status.why };
  return { phase: run === undefined ? 'defined' : 'failed', why: run === undefined ? '' : 'its VMM ended before its memory was written down' };
}

function planRemoval(id: string, status: MachineStatus | undefined, run: MachineRun | undefined): MachinePlan {
  if (status === undefined && run === undefined) return idle;
  // One that never ran may have disks all the same: those of the machine that it is a clone of.
  const name = run?.spec.name ?? id;
  const kinds = [['machine.erase', 'remove what is left of'], ['machine.removeTap', 'remove the network interface of'], ['machine.forget', 'forget']] as const;
  return { ...idle, operations: kinds.map(([kind, what]) => operation(kind, id, `${what} machine ${name}`)) };
}

function planRunning(id: string, seen: MachineSeen, vmm: VmmRunning, policy: MachinePolicy): MachinePlan {
  const { spec, run } = seen;
  const name = spec?.name ?? run?.spec.name ?? id;
  // What was told to power off is half shut down, whatever is wished by now: its end comes first.
  if (spec === undefined || spec.wanted === 'stopped' || restartAsked(spec, run) || vmm.stoppingMs !== null) return planStop(id, name, run, vmm, policy);
  if (vmm.paused && spec.wanted === 'suspended') return planReady(id, spec, seen.status, vmm);
  if (vmm.paused) return spec.wanted === 'paused' ? { ...idle, settle: { phase: 'paused', why: '' } } : one('machine.resume', id, `let machine ${name} go on`);
  if (vmm.trouble !== null) {
    const limit = vmm.trouble.what === 'vmm' ? policy.hungLimitMs : policy.silentLimitMs;
    if (vmm.trouble.forMs >= limit) return one('machine.kill', id, `kill machine ${name}, silent for ${Math.round(vmm.trouble.forMs / 1000)} s`);
    return { operations: [], waitingOn: [{ kind: 'guest', subject: `machine/${id}`, why: vmm.trouble.why }], againAfterMs: limit - vmm.trouble.forMs, settle: { phase: 'unknown', why: vmm.trouble.why } };
  }
  if (vmm.agent === 'awaited' && run !== undefined && run.answeredAt === null) {
    const left = policy.bootLimitMs - vmm.knownMs;
    if (left <= 0) return one('machine.kill', id, `kill machine ${name}, whose guest did not answer within ${Math.round(policy.bootLimitMs / 1000)} s of its start`);
    return { operations: [], waitingOn: [{ kind: 'guest', subject: `machine/${id}`, why: 'it boots' }], againAfterMs: left, settle: null };
  }
  return planReady(id, spec, seen.status, vmm);
}

/** Its guest is up. */
function planReady(id: string, spec: MachineSpec, status: MachineStatus | undefined, vmm: VmmRunning): MachinePlan {
  if (spec.wanted === 'paused') return one('machine.pause', id, `pause machine ${spec.name}`);
  if (spec.wanted === 'suspended') return one('machine.suspend', id, `write the memory of machine ${spec.name} down and end its VMM`);
  // A daemon that ended right after it had let it go on, or had told it to power off, did not say so.
  if ((status?.phase === 'paused' || status?.phase === 'stopping') && vmm.agent !== 'awaited') return { ...idle, settle: { phase: 'running', why: '' } };
  return idle;
}

function planStop(id: string, name: string, run: MachineRun | undefined, vmm: VmmRunning, policy: MachinePolicy): MachinePlan {
  const kill = (why: string) => one('machine.kill', id, `kill machine ${name}${why}`);
  if (vmm.stoppingMs !== null) {
    if (vmm.stoppingMs >= policy.stopGraceMs) return kill(`, which did not power off within ${Math.round(policy.stopGraceMs / 1000)} s`);
    return { operations: [], waitingOn: [{ kind: 'guest', subject: `machine/${id}`, why: 'it powers off' }], againAfterMs: policy.stopGraceMs - vmm.stoppingMs, settle: null };
  }
  if (vmm.trouble !== null) return kill(', which does not answer');
  if (vmm.paused) return { ...one('machine.resume', id, `let machine ${name} go on, to be powered off`), againAfterMs: 0 };
  if (vmm.agent === 'awaited') {
    if (run === undefined || run.answeredAt === null) return kill(', which still boots');
    return { operations: [], waitingOn: [{ kind: 'guest', subject: `machine/${id}`, why: 'the line to its agent is being opened' }], againAfterMs: lookAgainMs, settle: null };
  }
  return one('machine.powerOff', id, `power off machine ${name}`);
}

function planUnreachable(id: string, { spec, run }: MachineSeen, vmm: Extract<VmmSeen, { state: 'unknown' }>, policy: MachinePolicy): MachinePlan {
  const keep = spec !== undefined && spec.wanted !== 'stopped' && !restartAsked(spec, run);
  const limit = keep ? policy.hungLimitMs : policy.unreachableGraceMs;
  const settle = { phase: 'unknown' as const, why: vmm.why };
  if (vmm.canEnd && vmm.forMs >= limit) return { operations: [operation('machine.endProcess', id, `end the process of machine ${spec?.name ?? id}, which cannot be reached`)], waitingOn: [], againAfterMs: lookAgainMs, settle };
  return { operations: [], waitingOn: [{ kind: 'vmm', subject: `machine/${id}`, why: vmm.why }], againAfterMs: lookAgainMs, settle };
}

/** A wish for one restart that the last start did not answer. */
function restartAsked(spec: MachineSpec, run: MachineRun | undefined): boolean {
  return run !== undefined && (spec.restartToken ?? null) !== run.restartToken;
}

function operation(kind: MachineOperationKind, id: string, summary: string): MachineOperation {
  return { kind, subject: `machine/${id}`, summary };
}

function one(kind: MachineOperationKind, id: string, summary: string): MachinePlan {
  return { ...idle, operations: [operation(kind, id, summary)] };
}
