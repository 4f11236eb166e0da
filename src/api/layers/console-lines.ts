/** What a machine's serial console printed, line by line, and what it goes on to print. */
import type { ConsoleLine } from '#contract';
import type { Machines } from '#machines';
import { readLines } from './read-lines.ts';

/** A console without a line break still comes out in pieces of this size. */
const maxLine = 16 * 1024;

export async function consoleLines(machines: Machines, id: string, query: { readonly follow: boolean; readonly tail: number | undefined }, signal: AbortSignal): Promise<AsyncIterable<ConsoleLine>> {
  // The live end is opened first, so that nothing falls between it and what was kept.
  const live = query.follow ? await machines.openConsole(id) : undefined;
  const kept = (await machines.consoleLog(id)).toString('utf8').split(/\r?\n/);
  if (kept.at(-1) === '') kept.pop();
  signal.addEventListener('abort', () => live?.destroy(), { once: true });
  return (async function* () {
    try {
      for (const text of query.tail === undefined ? kept : kept.slice(Math.max(0, kept.length - query.tail))) yield { text: text.slice(0, maxLine) };
      if (live === undefined) return;
      for await (const text of readLines(live, maxLine)) yield { text };
    } finally {
      live?.destroy();
    }
  })();
}
