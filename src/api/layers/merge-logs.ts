/**
 * Log lines of several containers as one stream. What is kept is sorted by time; while following, lines
 * come as they are written. A slow reader stops the guests' streams, not the daemon.
 */
import type { LogLine } from '#contract';
import type { Containers, ContainerSpec } from '#containers';
import type { LogQuery } from '../backend.ts';
import { readLines } from './read-lines.ts';

/** Lines longer than this were cut by the agent already; of a hostile guest's nothing is shown. */
const maxLine = 64 * 1024;

export async function mergeLogs(containers: Containers, specs: readonly ContainerSpec[], query: LogQuery, signal: AbortSignal): Promise<AsyncIterable<LogLine>> {
  const sources: AsyncIterable<LogLine>[] = [];
  for (const spec of specs) {
    const stream = await containers.logs(spec.id, { follow: query.follow, ...(query.tail === undefined ? {} : { tail: query.tail }), ...(query.sinceMs === undefined ? {} : { sinceMs: query.sinceMs }) });
    signal.addEventListener('abort', () => stream.close(), { once: true });
    stream.done.catch(() => { /* the lines end; `strata ps` tells of the machine */ });
    sources.push(linesOf(spec, stream.output));
  }
  return query.follow ? interleave(sources) : sorted(sources);
}

async function* linesOf(spec: ContainerSpec, output: NodeJS.ReadableStream): AsyncGenerator<LogLine> {
  for await (const text of readLines(output, maxLine)) {
    const line = parseLine(spec, text);
    if (line !== undefined) yield line;
  }
}

function parseLine(spec: ContainerSpec, text: string): LogLine | undefined {
  let value: unknown;
  try { value = JSON.parse(text); } catch { return undefined; } // hostile or cut: there is nothing to show
  if (typeof value !== 'object' || value === null) return undefined;
  const { t, s, l } = value as { t?: unknown; s?: unknown; l?: unknown };
  if (typeof t !== 'number' || !Number.isFinite(t) || Math.abs(t) > 8.64e15 || typeof l !== 'string') return undefined;
  return { at: new Date(t).toISOString(), service: spec.service, container: spec.name, stream: s === 2 ? 'stderr' : 'stdout', text: l };
}

async function* sorted(sources: readonly AsyncIterable<LogLine>[]): AsyncGenerator<LogLine> {
  const all = (await Promise.all(sources.map(async (source) => Array.fromAsync(source)))).flat();
  yield* all.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

/** Whichever source has a line next gives it; each source has at most one line waiting. */
async function* interleave(sources: readonly AsyncIterable<LogLine>[]): AsyncGenerator<LogLine> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const pending = new Map(iterators.map((iterator, at) => [at, nextOf(iterator, at)]));
  while (pending.size > 0) {
    const { at, result } = await Promise.race(pending.values());
    if (result.done === true) pending.delete(at);
    else {
      pending.set(at, nextOf(iterators[at] as AsyncIterator<LogLine>, at));
      yield result.value;
    }
  }
}

async function nextOf(iterator: AsyncIterator<LogLine>, at: number): Promise<{ at: number; result: IteratorResult<LogLine> }> {
  return { at, result: await iterator.next() };
}
