/** `10m` or a point in time → milliseconds since 1970. Pure: now is a parameter. */
import { invalidRequest } from './problems.ts';

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @throws StrataError `api.invalidRequest` for what is no time */
export function parseSince(text: string, now: number): number {
  const ago = /^(\d+)(ms|s|m|h|d)$/.exec(text);
  if (ago !== null) return Math.max(0, now - Number(ago[1]) * (unitMs[ago[2] as string] as number));
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw invalidRequest([{ pointer: '/query/since', detail: `'${text}' is no time` }]);
  return time;
}
