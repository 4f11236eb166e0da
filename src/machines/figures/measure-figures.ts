/**
 * Takes the three figures with a shell and `dd` of busybox, which every guest of ours has: the same programs in every
 * guest, so figures of engines can be compared. The guest's own clock measures, so the way to it costs nothing.
 */
import { StrataError } from '#base';

/** Runs a script in a shell and returns what it printed. */
export type RunScript = (script: string) => Promise<string>;

export interface Figures { readonly stepNanos: number; readonly callNanos: number; readonly forkMicros: number }

interface Task { readonly first: number; readonly script: (count: number) => string; readonly operations: (count: number) => number }

const busybox = '/bin/busybox';
const loop = (count: number, body: string): string => `i=0; while [ $i -lt ${count} ]; do ${body}i=$((i+1)); done`;
const tasks = {
  step: { first: 4000, script: (count) => loop(count, ''), operations: (count) => count },
  // Reads and writes one byte for each.
  call: { first: 1000, script: (count) => `${busybox} dd if=/dev/zero of=/dev/null bs=1 count=${count} 2>/dev/null`, operations: (count) => 2 * count },
  fork: { first: 10, script: (count) => loop(count, `${busybox} true; `), operations: (count) => count },
} as const satisfies Record<string, Task>;

/** The clock counts hundredths, so a task is made longer until it takes this long. */
const enoughSeconds = 0.5;
const growth = 4;
const mostGrowths = 8;
const rounds = 3;

/** The best of three, since other work only ever adds. @throws StrataError `machine.badFigures` */
export async function measureFigures(run: RunScript): Promise<Figures> {
  const [step, call, fork] = [await measure(run, tasks.step), await measure(run, tasks.call), await measure(run, tasks.fork)];
  return { stepNanos: round(step * 1e9), callNanos: round(call * 1e9), forkMicros: round(fork * 1e6) };
}

/** Seconds for one. */
async function measure(run: RunScript, task: Task): Promise<number> {
  let count = task.first;
  let best = await timed(run, task.script(count));
  for (let grown = 0; best < enoughSeconds && grown < mostGrowths; grown += 1) {
    count *= growth;
    best = await timed(run, task.script(count));
  }
  for (let again = 1; again < rounds; again += 1) best = Math.min(best, await timed(run, task.script(count)));
  return Math.max(best, 0.01) / task.operations(count);
}

async function timed(run: RunScript, script: string): Promise<number> {
  const said = await run(`read -r from rest </proc/uptime; ${script}; read -r to rest </proc/uptime; echo $from $to`);
  const [from = Number.NaN, to = Number.NaN] = said.trim().split(' ').map(Number);
  if (!Number.isFinite(from) || !Number.isFinite(to) || to < from) throw new StrataError(`a guest that was measured said '${said.slice(0, 100)}'`, { code: 'machine.badFigures', kind: 'unavailable' });
  return to - from;
}

const round = (value: number): number => Number(value.toPrecision(3));
