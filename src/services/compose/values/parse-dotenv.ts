/**
 * Files of variables (.env, env_file), with the rules of Docker Compose: `NAME=value`, `export NAME=value`,
 * comments, single quotes (taken as it stands), double quotes (with \n and variables), both over several lines.
 * A bare value ends at ` #`. A name alone takes its value from outside.
 */
import type { Report } from '../report.ts';
import type { TreePlace } from '../yaml/tree.ts';
import { interpolate, type Lookup } from '../yaml/interpolate.ts';

export interface DotenvOptions {
  readonly text: string;
  readonly place: TreePlace;
  /** Variables from outside, for values that name some. */
  readonly lookup: Lookup;
  /** Variables of files before this one. */
  readonly earlier?: Lookup;
  readonly report: Report;
}

/** The most text that values may grow to by naming each other. */
const mostCharacters = 4 * 1024 * 1024;

/** undefined: named alone and not set outside. */
export function parseDotenv({ text: raw, place, lookup, earlier, report }: DotenvOptions): Map<string, string | undefined> {
  const text = raw.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n');
  const found = new Map<string, string | undefined>();
  // The environment wins over what the file has set above, as everywhere in Compose.
  const known: Lookup = (name) => lookup(name) ?? found.get(name) ?? earlier?.(name);
  let at = 0;
  let line = 1;
  let grown = 0;
  while (at < text.length) {
    const here: TreePlace = { ...place, line, column: 1 };
    const end = lineEnd(text, at);
    const head = /^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*(?:([=:])[ \t]*|$)/.exec(text.slice(at, end));
    let next = end;
    if (head === null) {
      if (!/^[ \t]*(?:#.*)?$/.test(text.slice(at, end))) report.error(here, 'compose.badEnvFile', `no NAME=value: ${hide(text.slice(at, end))}`, 'write NAME=value; begin a comment with #');
    } else if (head[2] === undefined) found.set(head[1] as string, lookup(head[1] as string));
    else next = readValue(text, at + head[0].length, end, here, (value) => { found.set(head[1] as string, value); grown += value.length; }, known, report);
    if (grown > mostCharacters) {
      report.error(here, 'compose.tooLarge', `the values hold more than ${mostCharacters} characters`);
      break;
    }
    line += text.slice(at, next).split('\n').length;
    at = next + 1;
  }
  return found;
}

/** A line without `=` may hold a secret that went astray: only its beginning is shown. */
const hide = (text: string): string => (text.length <= 12 ? text : `${text.slice(0, 12)}...`);

/** Returns where the value's last line ends. */
function readValue(text: string, from: number, end: number, place: TreePlace, set: (value: string) => void, lookup: Lookup, report: Report): number {
  const quote = text[from];
  if (quote === "'" || quote === '"') {
    const close = closingQuote(text, from + 1, quote);
    if (close < 0) {
      report.error(place, 'compose.badEnvFile', `has a ${quote} that is never closed`);
      return text.length;
    }
    const rest = lineEnd(text, close);
    if (!/^[ \t]*(?:#.*)?$/.test(text.slice(close + 1, rest))) report.error(place, 'compose.badEnvFile', 'there is something behind the closing quote', 'put it inside, or begin a comment with #');
    const inside = text.slice(from + 1, close);
    set(quote === "'" ? inside.replaceAll("\\'", "'") : expand(unescape(inside), place, lookup, report));
    return rest;
  }
  const value = text.slice(from, end).replace(/(?:^|[ \t]+)#.*$/, '').trimEnd();
  set(expand(value, place, lookup, report));
  return end;
}

function expand(value: string, place: TreePlace, lookup: Lookup, report: Report): string {
  const { text, problems } = interpolate(value, lookup);
  for (const problem of problems) {
    if (problem.kind === 'unset') report.warn(place, 'compose.unsetVariable', `the variable ${problem.name} is not set; nothing is put in its place`, 'set it above, or write $$ where a dollar sign is meant');
    else if (problem.kind === 'required') report.error(place, 'compose.missingVariable', `the variable ${problem.name} is not set${problem.why === '' ? '' : `: ${problem.why}`}`, `set ${problem.name}`);
    else report.error(place, 'compose.badVariable', 'a dollar sign is not followed by a variable', 'write $$ where a dollar sign is meant, or put the value in single quotes');
  }
  return text;
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\', $: '$$' };
const unescape = (text: string): string => text.replaceAll(/\\([nrt"\\$])/g, (_, one: string) => escapes[one] ?? one);

function closingQuote(text: string, from: number, quote: string): number {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === quote) return at;
  }
  return -1;
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}
