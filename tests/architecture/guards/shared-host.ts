/** Test files share the host two at a time: those that cannot are marked, none that computes says that it waits, and no two files with guests use the same numbers. */
import { sourcesOf, type Guard, type Project } from '../project.ts';

const { mostlyWaits, runsAlone, startsGuests } = await import(new URL('../../../tools/plan-stages.mjs', import.meta.url).href) as { readonly mostlyWaits: (text: string) => boolean; readonly runsAlone: (text: string) => boolean; readonly startsGuests: (file: string) => boolean };

/** A second lane makes a host slower by its half and more: what is asserted must have room for that many times. */
const roomMs = 10_000;
const bound = /\bok\(.*<=? ?([\d_]+)\b.*\bms\b/;
const subnet = /\bsubnet(?: =|:) ([^;,}\n]+)|\bopenTestInstance\(.*, (\d+)[,)]/g;

const usesHost = (file: string): boolean => startsGuests(file) || file.endsWith('.long.test.ts');

function boundsOf(text: string): readonly string[] {
  return text.split('\n').filter((line) => Number(bound.exec(line)?.[1]?.replaceAll('_', '') ?? roomMs) < roomMs || /\bwhileBusy\(/.test(line));
}

function sharedSubnets(project: Project): { readonly seen: number; readonly offences: readonly string[] } {
  const users = new Map<string, Set<string>>();
  for (const [file, text] of sourcesOf(project)) {
    if (!file.endsWith('.test.ts')) continue;
    const numbers = [...text.matchAll(subnet)].flatMap(([, one, other]) => (one ?? other ?? '').match(/\b\d+\b/g) ?? []);
    for (const number of numbers) users.set(number, (users.get(number) ?? new Set()).add(file));
  }
  const clashes = [...users].filter(([, files]) => files.size > 1 && [...files].some(usesHost));
  return { seen: users.size, offences: clashes.map(([number, files]) => `subnet ${number}, and the users' numbers that follow from it, are used by ${[...files].join(' and ')}`) };
}

/** A guest computes while its test waits; and who runs alone has no use for a lane beside others. */
function wronglyWaiting(project: Project): readonly string[] {
  return sourcesOf(project).filter(([file, text]) => file.endsWith('.test.ts') && mostlyWaits(text) && (usesHost(file) || runsAlone(text))).map(([file]) => `${file} says that it mostly waits, and ${usesHost(file) ? 'has guests, which compute' : 'that it runs alone'}`);
}

export const sharedHost: Guard = {
  name: 'a test with guests that asserts a bound of milliseconds or makes the host busy runs alone, none says that it mostly waits; each has a subnet of its own',
  find(project) {
    const guests = sourcesOf(project).filter(([file]) => startsGuests(file));
    const unmarked = guests.filter(([, text]) => !runsAlone(text)).flatMap(([file, text]) => boundsOf(text).map((line) => `${file} is not marked 'Runs alone: <why>', and has ${line.trim()}`));
    const subnets = sharedSubnets(project);
    return { seen: guests.length + subnets.seen, offences: [...unmarked, ...wronglyWaiting(project), ...subnets.offences] };
  },
  planted: {
    'src/machines/planted-bound.guest.test.ts': '/** Hurries. */\nassert.ok(tookMs < 3000, `it took ${tookMs} ms`);\n',
    'src/machines/planted-busy.guest.test.ts': '/** Disturbs. */\nawait whileBusy(4, act);\n',
    'src/machines/planted-mark.guest.test.ts': '/** Hurries. */\n/* Runs alone: it is too late to say so. */\nassert.ok(tookMs <= 3_000, `it took ${tookMs} ms`);\n',
    'src/machines/planted-waiting.guest.test.ts': '/**\n * Rests.\n * Mostly waits: for its guest.\n */\n',
    'src/machines/planted-both.test.ts': '/**\n * Rests.\n * Mostly waits: for a limit.\n * Runs alone: it is held to a bound.\n */\n',
    'src/machines/planted-subnet.guest.test.ts': '/** Takes another\'s. */\nconst subnet = 216;\n',
    'src/machines/planted-choice.guest.test.ts': '/** Takes another\'s. */\nconst own = { subnet: big ? 212 : 250 };\n',
    'tests/guests/planted-instance.guest.test.ts': '/** Takes another\'s. */\nconst strata = openTestInstance(runName(\'s\'), 168);\n',
  },
};
