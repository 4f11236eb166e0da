/** Sizes as people write them: 512M, 2G, 1GiB. */
import { UsageError } from './verb.ts';

const mib: Readonly<Record<string, number>> = { m: 1, g: 1024, t: 1024 * 1024 };

/** Mebibytes. @throws UsageError */
export function parseMiB(option: string, text: string): number {
  const match = /^(\d{1,7})\s*(?:([mgt])(?:i?b)?)?$/i.exec(text);
  if (match === null) throw new UsageError(`${option} wants a size such as 512M or 2G, not '${text}'`);
  return Number(match[1]) * (mib[(match[2] ?? 'm').toLowerCase()] as number);
}
