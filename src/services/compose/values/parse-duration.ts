/** Durations as Go writes them, with days and weeks: 90s, 1m30s, 1.5h, 500ms. Milliseconds; undefined for anything else. */
const unitMs: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
/** A hundred years; no wait is longer. */
const longestMs = 3_153_600_000_000;

export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (text.length > 64 || !/^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h|d|w))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, count = '', unit = ''] of text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d|w)/g)) total += Number(count) * (unitMs[unit] ?? 0);
  return total <= longestMs ? Math.round(total) : undefined;
}
