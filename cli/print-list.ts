/** How lists and single things are printed: padded columns people can cut and awk, or the API's object unchanged. */
import { stripVTControlCharacters } from 'node:util';
import { UsageError, type Options } from './verb.ts';

export interface Column<T> {
  readonly head: string;
  readonly value: (item: T) => string;
  /** Shown only with -o wide. */
  readonly wide?: true;
  /** Longest text in a plain table, so that a row fits a terminal; -o wide and --no-trunc show all of it. */
  readonly atMost?: number;
}

export interface ListForm<T> {
  readonly columns: readonly Column<T>[];
  readonly name: (item: T) => string;
}

type Format = 'table' | 'wide' | 'json' | 'yaml' | 'name' | 'jsonl';

export function formatOf(options: Options, fallback: Format = 'table'): Format {
  if (options.flag('json')) return 'json';
  return (options.text('output') as Format | undefined) ?? fallback;
}

/** Prints a list as wished; `names` is what -q prints. */
export async function printList<T>(out: NodeJS.WritableStream, items: readonly T[], form: ListForm<T>, options: Options): Promise<void> {
  const format = formatOf(options);
  if (format === 'table' || format === 'wide') out.write(tableText(items, form, { wide: format === 'wide', headed: !headless(options), whole: options.flag('noTrunc') }));
  else if (format === 'name') out.write(lines(items.map(form.name)));
  else if (format === 'jsonl') out.write(lines(items.map((item) => JSON.stringify(item))));
  else await printValue(out, { items }, format);
}

/** Prints one value as JSON or YAML. */
export async function printValue(out: NodeJS.WritableStream, value: unknown, format: string): Promise<void> {
  if (format === 'json') out.write(`${JSON.stringify(value, null, 2)}\n`);
  else if (format === 'jsonl') out.write(`${JSON.stringify(value)}\n`);
  else if (format === 'yaml') {
    const { stringify } = await import('yaml');
    out.write(stringify(value));
  } else throw new UsageError(`this cannot be printed as ${format}`, 'use -o json or -o yaml');
}

/** Whether people are to read it: what a verb prints of the API's answer unless it is told to print that itself. */
export const isText = (options: Options): boolean => (options.text('output') ?? 'text') === 'text';

/** Prints what the API answered to a change: the texts, a line each, or the object unchanged. */
export async function printAnswer(out: NodeJS.WritableStream, answer: unknown, texts: readonly string[], options: Options): Promise<void> {
  if (isText(options)) out.write(lines(texts));
  else await printValue(out, answer, options.text('output') as string);
}

export const lines = (texts: readonly string[]): string => texts.map((text) => `${text}\n`).join('');

/** Commander turns --no-headers into headers: false. */
const headless = (options: Options): boolean => options.flag('noHeaders');

export interface TableOptions {
  /** All columns, and their whole text. */
  readonly wide?: boolean;
  readonly headed?: boolean;
  /** Texts are not shortened. */
  readonly whole?: boolean;
}

/** Columns padded with two spaces between; the last one is not padded. */
export function tableText<T>(items: readonly T[], form: ListForm<T>, options: TableOptions = {}): string {
  const { wide = false, headed = true, whole = wide } = options;
  const columns = form.columns.filter((column) => wide || column.wide !== true);
  const rows = items.map((item) => columns.map((column) => shorten(plain(column.value(item)), wide || whole ? undefined : column.atMost)));
  if (headed) rows.unshift(columns.map((column) => column.head));
  const widths = columns.map((_, at) => Math.max(0, ...rows.map((row) => (row[at] as string).length)));
  return lines(rows.map((row) => row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] as number))).join('  ').trimEnd()));
}

/** A guest's text must not move the cursor of whoever lists it. */
const plain = (text: string): string => stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ') || '-';

const shorten = (text: string, atMost = Number.POSITIVE_INFINITY): string => (text.length <= atMost ? text : `${text.slice(0, atMost - 1).trimEnd()}…`);

/** `3 minutes` since a time; now in milliseconds since 1970. */
export function age(time: string | null, now: number): string {
  if (time === null) return '';
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** 12.3 MB, in powers of 1000. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  let value = count;
  while (value >= 1000 && at < units.length - 1) { value /= 1000; at += 1; }
  return `${at === 0 ? value : value.toFixed(1)} ${units[at]}`;
}
