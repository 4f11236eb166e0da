/** How busy the host's processors are, from two looks at what they have done. */
import { cpus } from 'node:os';

export interface ProcessorTimes { readonly busyMs: number; readonly allMs: number; readonly count: number }

export function readProcessorTimes(): ProcessorTimes {
  const all = cpus().map(({ times }) => times);
  const sum = (of: (times: (typeof all)[number]) => number) => all.reduce((total, times) => total + of(times), 0);
  return { busyMs: sum(({ user, nice, sys, irq }) => user + nice + sys + irq), allMs: sum(({ user, nice, sys, irq, idle }) => user + nice + sys + irq + idle), count: all.length };
}

/** Processors in use between two looks: 0.5 is half of one. */
export function busyProcessors(before: ProcessorTimes, after: ProcessorTimes): number {
  return ((after.busyMs - before.busyMs) / Math.max(1, after.allMs - before.allMs)) * after.count;
}
