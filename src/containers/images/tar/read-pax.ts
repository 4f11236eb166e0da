/** Records of a pax extended header: `<length> <key>=<value>\n`, values in bytes (latin1 text here). */
import { TarProblem } from './read-header.ts';

/** @throws TarProblem where a record's length does not fit, or a key or path holds a NUL */
export function readPax(block: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  let at = 0;
  while (at < block.length && block[at] !== 0) {
    const space = block.indexOf(0x20, at);
    const digits = space < 0 || space - at > 10 ? '' : block.toString('latin1', at, space);
    const length = /^[1-9]\d*$/.test(digits) ? Number(digits) : Number.NaN;
    const end = at + length;
    if (!(end <= block.length) || end <= space + 1 || block[end - 1] !== 0x0a) throw new TarProblem('a pax record has a wrong length');
    const equals = block.indexOf(0x3d, space);
    if (equals < 0 || equals >= end) throw new TarProblem('a pax record has no value');
    records.set(block.toString('latin1', space + 1, equals), block.toString('latin1', equals + 1, end - 1));
    at = end;
  }
  return records;
}
