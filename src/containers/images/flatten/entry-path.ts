/** Names of archive entries as segments below the root; whatever would leave the root is refused. */
import { TarProblem } from '../tar/read-header.ts';

/** One more than a file system takes. */
const maxSegmentBytes = 255;
const maxDepth = 200;

/**
 * `./a//b/` and `/a/b` → ['a', 'b']; `.` → [].
 * @throws TarProblem for `..`, NUL, or a part that is too long
 */
export function segmentsOf(path: string, whole = path): string[] {
  const segments = path.split('/').filter((part) => part !== '' && part !== '.');
  for (const part of segments) {
    if (part === '..') throw new TarProblem('its name leaves the root (`..`)', whole);
    if (part.includes('\0')) throw new TarProblem('its name holds a NUL byte', whole);
    if (part.length > maxSegmentBytes) throw new TarProblem(`a part of its name is longer than ${maxSegmentBytes} bytes`, whole);
  }
  if (segments.length > maxDepth) throw new TarProblem(`it lies deeper than ${maxDepth} folders`, whole);
  return segments;
}
