/**
 * Which test files may run beside others, and in which order they are taken.
 *
 * Everything may share the host, guests too, but files whose header says `Runs alone: <why>`: what holds an answer to a bound of
 * milliseconds, or makes the host busy itself. There are two lanes, as hosts of two processors are what must be enough; and a third,
 * for files whose header says `Mostly waits: <why>`: a lane that they had would leave its processor to nobody.
 * tests/architecture holds all of it: such files have their mark, no file with guests says that it waits, and no two files
 * with guests have the same subnet, from which their users' numbers follow too.
 */

/** In the comment at the top of a file. @param {string} text */
export const runsAlone = (text) => hasMark(text, 'Runs alone');

/** In the comment at the top of a file. @param {string} text */
export const mostlyWaits = (text) => hasMark(text, 'Mostly waits');

/** Share of a file's time that its processes may compute where it says that it mostly waits. */
const waitingShare = 0.6;

/** A mark that has become untrue. @param {{ readonly text: string, readonly seconds: number, readonly processorSeconds: number }} ran */
export const computesThoughMarked = ({ text, seconds, processorSeconds }) => mostlyWaits(text) && processorSeconds > waitingShare * seconds;

/** Files that start guests: the longest. @param {string} file */
export const startsGuests = (file) => file.endsWith('.guest.test.ts');

const hasMark = (text, mark) => new RegExp(`^/\\*\\*(?:(?!\\*/)[\\s\\S])*?\\b${mark}: [^\\s*]`).test(text);

/**
 * The queues of a stage run at the same time, each in as many lanes as it says; stages one after the other.
 * Files with guests come last but one, and those with the longest first of all within their part: a lane that has nothing more
 * to take waits for the other.
 * @param {readonly { readonly file: string, readonly text: string }[]} files
 * @param {boolean} long
 * @returns {{ files: string[], lanes: number }[][]}
 */
export function planStages(files, long) {
  const queue = (lanes, belongs) => ({
    lanes,
    files: files.filter(({ text }) => belongs(text)).map(({ file }) => file).sort((one, other) => Number(startsGuests(one)) - Number(startsGuests(other)) || (one < other ? 1 : -1)),
  });
  if (long) return [[queue(1, () => true)]];
  const beside = (text) => !runsAlone(text);
  return [[queue(2, (text) => beside(text) && !mostlyWaits(text)), queue(1, (text) => beside(text) && mostlyWaits(text))], [queue(1, runsAlone)]];
}
