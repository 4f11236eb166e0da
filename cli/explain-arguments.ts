/**
 * What the API refuses of a request, in the words of the command line: who typed `-m 64000G` knows of no
 * `/body/memoryMiB`. Which option or argument filled a field is read from the verb's declaration.
 */
import type { ClientProblem } from '#client';
import { optionName, type Option, type Verb } from './verb.ts';

/** A command line as it was parsed. */
export interface TypedCommand {
  readonly verb: Verb;
  /** All words, for options as they were typed. */
  readonly argv: readonly string[];
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, unknown>>;
}

/** What was typed for a field of the request. */
interface Typed { readonly words: string; readonly value: string | undefined }

/** Units in the names of fields; people write them with the value, or not at all. */
const unit = /(MiB|Bytes|Seconds)$/;

/** One line for each field, and where to read on. @param typed unknown where one of several things asked for was refused */
export function argumentLines(errors: ClientProblem['errors'], typed: TypedCommand | undefined): string[] {
  return [...errors.map((one) => `strata: ${fieldLine(one, typed)}`), `  see \`strata ${typed === undefined ? '' : `${typed.verb.name} `}--help\``];
}

function fieldLine({ pointer, detail }: ClientProblem['errors'][number], command: TypedCommand | undefined): string {
  const path = pointer.split('/').slice(2);
  const [field = '', ...within] = path;
  const typed = command === undefined ? undefined : typedFor(command, field, within[0]);
  const bound = boundOf(detail, path.at(-1) ?? '');
  if (typed === undefined) return `${path.join('.') || 'the request'}: ${bound === undefined ? detail : `must be ${bound}`}`;
  // Of a list's item the part that is wrong: `size` of `data,size=1M`.
  const part = within.slice(1).join('.').replace(unit, '');
  const subject = `${typed.words}${part === '' ? '' : ` ${part}`}`;
  if (bound !== undefined) return `${subject} wants ${bound}${typed.value === undefined ? '' : `, not '${typed.value}'`}`;
  return `${subject}${typed.value === undefined ? '' : ` '${typed.value}'`}${detail.startsWith('must ') ? ' ' : ': '}${detail}`;
}

/** Nothing where the field is none of the command line's, such as a name that a file gives. */
function typedFor({ verb, argv, args, options }: TypedCommand, field: string, index: string | undefined): Typed | undefined {
  const name = verb.fields?.[field] ?? field.replace(unit, '');
  const option = verb.options?.find((one) => [name, field].includes(optionName(one)) || (one.many === true && `${optionName(one)}s` === name));
  const value = option === undefined ? undefined : options[optionName(option)];
  if (option !== undefined && value !== undefined) return { words: flagTyped(option, argv), value: valueAt(value, index) };
  const places = (verb.args ?? '').split(' ').map((one) => one.replace(/[<>[\].]/g, ''));
  const at = places.indexOf(name);
  return at < 0 || args[at] === undefined ? undefined : { words: name, value: args[at] };
}

function valueAt(value: unknown, index: string | undefined): string | undefined {
  const one = Array.isArray(value) ? (value as readonly unknown[])[Number(index ?? '-1')] : value;
  return typeof one === 'string' ? one : undefined;
}

/** `-m` for who typed `-m 1G` or `-m1G`, else the long form. */
function flagTyped({ flags }: Option, argv: readonly string[]): string {
  const [long = ''] = /--[a-z-]+/.exec(flags) ?? [];
  const short = /^-\w/.exec(flags)?.[0];
  const first = argv.find((word) => word === long || word.startsWith(`${long}=`) || (short !== undefined && word.startsWith(short)));
  return short !== undefined && first?.startsWith(short) === true ? short : long;
}

/** 'at most 1T' of 'Too big: expected number to be <=1048576', where the field is in MiB. */
function boundOf(detail: string, field: string): string | undefined {
  const [, , sign = '', limit = '', of = ''] = /^Too (big|small): expected \w+ to (?:be|have) (<=|>=)(\d+)( characters| items)?$/.exec(detail) ?? [];
  if (sign === '') return undefined;
  return `at ${sign === '<=' ? 'most' : 'least'} ${field.endsWith('MiB') ? sizeText(Number(limit)) : `${limit}${of}`}`;
}

/** As `--memory` reads it: 512M, 1T. */
function sizeText(mib: number): string {
  const [factor, letter] = ([[1024 ** 2, 'T'], [1024, 'G']] as const).find(([one]) => mib > 0 && mib % one === 0) ?? [1, 'M'];
  return `${mib / factor}${letter}`;
}
