/**
 * What a verb of the command line is: a declaration (name, arguments, options), which costs nothing to
 * load, and the code behind it, which is loaded only when the verb is called. main.ts builds the
 * parser from the declarations; documentation and completion read the same.
 */
import type { OperationId } from '#client';
import type { Context } from './context.ts';

/** What a word on the command line can be completed with. */
export type Completion = 'app' | 'service' | 'container' | 'machine' | 'backend' | 'engine' | 'image' | 'operation' | 'host' | 'file' | 'folder' | 'none';

export interface Option {
  /** As commander reads it: '-f, --file <path>'. */
  readonly flags: string;
  readonly summary: string;
  /** May be given several times. */
  readonly many?: true;
  /** Its value is a whole number; checked before the verb begins, so that none asks for something first. */
  readonly whole?: true;
  readonly completion?: Completion;
  readonly choices?: readonly string[];
}

export interface Verb {
  /** Words: 'up', 'machine ls'. */
  readonly name: string;
  readonly alias?: string;
  /** '[service...]' */
  readonly args?: string;
  readonly summary: string;
  readonly options?: readonly Option[];
  readonly completion?: Completion;
  /** Options end at the first argument: exec. */
  readonly passThrough?: true;
  /** Only asks the daemon and prints: a resident may answer it (cli/resident). */
  readonly resident?: true;
  /** Fields of the request that are not called as the option or argument that fills them: `{ processors: 'cpus' }`. */
  readonly fields?: Readonly<Record<string, string>>;
  /** API operations the verb uses. */
  readonly operations: readonly OperationId[];
  readonly examples?: readonly string[];
  load(): Promise<{ run(invocation: Invocation): Promise<number> }>;
}

export interface Invocation {
  readonly context: Context;
  readonly args: readonly string[];
  readonly options: Options;
}

/** Parsed options by their long name in camel case, with typed access. */
export interface Options {
  flag(name: string): boolean;
  text(name: string): string | undefined;
  many(name: string): readonly string[];
  /** Of an option that is declared whole. */
  count(name: string): number | undefined;
}

/** The command line is wrong; exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly advice: string;
  constructor(message: string, advice = '') {
    super(message);
    this.advice = advice;
  }
}

export const exitCodes = { ok: 0, failed: 1, usage: 2, timeout: 124, platform: 125, cannotInvoke: 126, notFound: 127, interrupted: 130 } as const;

/** 'projectName' of '-p, --project-name <name>' */
export function optionName({ flags }: Option): string {
  return (/--([a-z-]+)/.exec(flags)?.[1] ?? '').replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** Typed access to what commander parsed. @throws UsageError where a value is none that its option can have */
export function readOptions(parsed: Readonly<Record<string, unknown>>, declared: readonly Option[]): Options {
  const text = (name: string): string | undefined => {
    const value = parsed[name];
    return typeof value === 'string' ? value : undefined;
  };
  const numbers = new Map<string, number>();
  for (const option of declared.filter(({ whole }) => whole === true)) {
    const value = text(optionName(option));
    if (value === undefined) continue;
    if (!/^\d{1,9}$/.test(value)) throw new UsageError(`${/--[a-z-]+/.exec(option.flags)?.[0]} wants a whole number, not '${value}'`);
    numbers.set(optionName(option), Number(value));
  }
  return {
    text,
    flag: (name) => parsed[name] === true,
    many: (name) => (Array.isArray(parsed[name]) ? (parsed[name] as readonly string[]) : []),
    count: (name) => {
      if (text(name) !== undefined && !numbers.has(name)) throw new Error(`the option ${name} is not declared as a whole number`);
      return numbers.get(name);
    },
  };
}
