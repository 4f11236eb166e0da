/** What a service does for a living, and what that costs under an engine. Pure. */
import type { RunEngine } from '../assign-machines.ts';

/** Work as a mixture: what it would take on the host itself, and what it asks of a kernel meanwhile. */
export interface WorkMix {
  /** Seconds of code, its own and the kernel's, at the host's speed. */
  readonly codeSeconds: number;
  readonly calls: number;
  readonly forks: number;
}

export const workloads = ['compute', 'requests', 'processes'] as const;
export type Workload = (typeof workloads)[number];

/** One second of each on the host. A server's second has hundreds of thousands of system calls; a shell script's, hundreds of processes. */
export const mixOf: Readonly<Record<Workload, WorkMix>> = {
  compute: { codeSeconds: 1, calls: 100, forks: 0 },
  requests: { codeSeconds: 1, calls: 200_000, forks: 0 },
  processes: { codeSeconds: 0.5, calls: 20_000, forks: 500 },
};

/** As `EngineFigures` of the machines layer, as far as they are needed here. */
export interface Cost { readonly stepNanos: number; readonly callNanos: number; readonly forkMicros: number }

/**
 * Taken on a 2-processor AMD EPYC without KVM (docs/benchmarks.md); for a host that has none of its own yet. Their ratios
 * depend little on the host.
 */
export const usualCosts: Readonly<Record<RunEngine, Cost>> = {
  qemu: { stepNanos: 18_000, callNanos: 1040, forkMicros: 6500 },
  uml: { stepNanos: 1070, callNanos: 55_000, forkMicros: 36_500 },
};

/**
 * How many times the call that is measured, which does nothing, one costs that serves somebody: it waits, another process has the
 * guest's processor meanwhile, and a packet goes in or out. Under User-Mode Linux each of these is dear. By the example's
 * services (docs/benchmarks.md): a page of nginx has eight calls and takes 2 ms there, 1 ms under translation.
 */
const servingCalls: Readonly<Record<RunEngine, number>> = { qemu: 1, uml: 5 };

/** What work costs under an engine on this host. @param measured there, or null */
export function costUnder(engine: RunEngine, measured: Cost | null): Cost {
  const cost = measured ?? usualCosts[engine];
  return { ...cost, callNanos: cost.callNanos * servingCalls[engine] };
}

/** Seconds that the work takes. `nativeStepNanos`: of the host itself, or the best engine of its architecture. */
export function secondsOf(mix: WorkMix, cost: Cost, nativeStepNanos: number): number {
  return mix.codeSeconds * (cost.stepNanos / nativeStepNanos) + mix.calls * cost.callNanos / 1e9 + mix.forks * cost.forkMicros / 1e6;
}

/** What a container's cgroup and processes have counted since it started. */
export interface Counted { readonly userNanos: number; readonly systemNanos: number; readonly calls: number }

/** Less processor time than this tells nothing. */
const enoughNanos = 5e9;

/**
 * The mixture behind what was counted under an engine: the time it spent, less what its system calls cost there, at the
 * host's speed. New processes are not counted by container; what they cost is in the time. Undefined where too little was seen.
 */
export function learnMix(counted: readonly Counted[], cost: Cost, nativeStepNanos: number): WorkMix | undefined {
  const sum = (of: (one: Counted) => number) => counted.reduce((total, one) => total + of(one), 0);
  const [nanos, calls] = [sum((one) => one.userNanos + one.systemNanos), sum((one) => one.calls)];
  if (nanos < enoughNanos) return undefined;
  // The kernel's part never gets below nothing, and code that ran has run.
  const code = Math.max(sum((one) => one.userNanos), nanos - calls * cost.callNanos);
  return { codeSeconds: code / 1e9 / (cost.stepNanos / nativeStepNanos), calls, forks: 0 };
}
