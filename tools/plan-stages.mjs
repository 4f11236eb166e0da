/**
 * Which test files may run beside others, and in which order they are taken.
 *
 * Everything may share the host, guests too, but files whose header says `Runs alone: <why>`: what holds an answer to a bound of
 * milliseconds, or makes the host busy itself. tests/architecture holds both: such files have the mark, and no two files
 * with guests have the same subnet, from which their users' numbers follow too.
 */

/** In the comment at the top of a file. @param {string} text */
export const runsAlone = (text) => /^\/\*\*(?:(?!\*\/)[\s\S])*?\bRuns alone: \S/.test(text);

/** Files that start guests: the longest. @param {string} file */
export const startsGuests = (file) => file.endsWith('.guest.test.ts');

/**
 * Files with guests come last but one, and those with the longest first of all within their part: a lane that has nothing more
 * to take waits for the other.
 * @param {readonly { readonly file: string, readonly text: string }[]} files
 * @param {boolean} long
 * @returns {{ files: string[], lanes: number }[]}
 */
export function planStages(files, long) {
  const names = (chosen) => chosen.map(({ file }) => file).sort((one, other) => Number(startsGuests(one)) - Number(startsGuests(other)) || (one < other ? 1 : -1));
  if (long) return [{ files: names(files), lanes: 1 }];
  return [{ files: names(files.filter(({ text }) => !runsAlone(text))), lanes: 2 }, { files: names(files.filter(({ text }) => runsAlone(text))), lanes: 1 }];
}
