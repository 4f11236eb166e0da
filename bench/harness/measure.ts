/** What all benches share: rounds in turn, medians and p95, a wait for a quiet machine, and the line `npm run bench` reads. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { forkQuickly, instanceFromEnvironment, silentLog, waitUntil } from '#base';

// Engines are opened in a bench's own process, and start programs there as in the daemon; so do the rivals.
await forkQuickly(instanceFromEnvironment(process.env), silentLog);

export interface Figure {
  readonly bench: string;
  readonly unit: string;
  /** Null where the line only shows the rival. */
  readonly strata: number | null;
  readonly p95?: number;
  readonly rival: string;
  readonly rivalValue: number | null;
  readonly rivalP95?: number;
  readonly ratio?: number;
  /** For people: '≤ 2.6 s, ≤ 1.1 ×'. */
  readonly bar?: string;
  /** Left out where the bar names a rival that could not be measured. */
  readonly met?: boolean;
  readonly rounds?: number;
  readonly note?: string;
  /** One-minute load average when the first round began. */
  readonly load?: number;
}

/** What a bar that is also against a rival comes to; nothing where only the rival could tell. */
export function judge(alone: boolean, against: boolean | undefined): { readonly met?: boolean } {
  if (!alone) return { met: false };
  return against === undefined ? {} : { met: against };
}

export const rounds = (usual: number): number => Number(process.env['BENCH_ROUNDS'] ?? usual);

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] ?? Number.NaN : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
};
export const p95 = (values: readonly number[]): number => quantile(values, 0.95);
export const round = (value: number, digits = 3): number => Number(value.toFixed(digits));

export function loadNow(): number {
  return Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]);
}

/**
 * Share of this machine's processor time that was used in the last interval; the load average forgets too slowly.
 * Waits until others use little, at most `limitMs`; then goes on and says so.
 */
export async function awaitQuiet(limitMs = Number(process.env['BENCH_QUIET_MS'] ?? 60_000)): Promise<void> {
  let before = processorTimes();
  try {
    await waitUntil(() => {
      const now = processorTimes();
      const busy = ((now.busy - before.busy) / Math.max(1, now.all - before.all)) * availableParallelism();
      before = now;
      return busy < 0.25;
    }, { what: 'others leave the processors alone', limitMs, everyMs: 1000 });
  } catch {
    say(`this machine is busy (load ${loadNow()}); the figures suffer from it`);
  }
}

function processorTimes(): { readonly busy: number; readonly all: number } {
  const times = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').trim().split(/\s+/).slice(1, 9).map(Number);
  const all = times.reduce((sum, one) => sum + one, 0);
  return { busy: all - (times[3] ?? 0) - (times[4] ?? 0), all };
}

/** One, other, other, one, …: what changes slowly on the machine changes both alike. */
export async function inTurn<T extends string>(who: readonly [T, T], count: number, one: (who: T, round: number) => Promise<number>): Promise<Record<T, number[]>> {
  const values = { [who[0]]: [], [who[1]]: [] } as unknown as Record<T, number[]>;
  for (let at = 0; at < count; at += 1) {
    for (const name of at % 2 === 0 ? who : [who[1], who[0]]) values[name].push(await one(name, at));
  }
  return values;
}

/** Many in turn, each round begun by another of them. */
export async function inRotation<R>(who: readonly string[], count: number, one: (who: string) => Promise<R>): Promise<ReadonlyMap<string, readonly R[]>> {
  const values = new Map<string, R[]>(who.map((name) => [name, []]));
  for (let at = 0; at < count; at += 1) {
    const first = at % who.length;
    for (const name of [...who.slice(first), ...who.slice(0, first)]) values.get(name)?.push(await one(name));
  }
  return values;
}

export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

export function say(line: string): void {
  process.stderr.write(`  ${line}\n`);
}

export function report(figure: Figure): void {
  process.stdout.write(`${JSON.stringify(figure)}\n`);
}
