/**
 * What is wrong or worth knowing in the user's files, each with its place. Everything found in one reading
 * is kept, so that one run of `strata config` shows all of it.
 */
import { StrataError, type Place } from '#base';

export interface ComposeDiagnostic extends Place {
  readonly severity: 'error' | 'warning';
  readonly code: string;
  readonly message: string;
  /** '' where there is nothing to say. */
  readonly advice: string;
}

/** More are not kept: a hostile file must not make a huge answer. */
const mostKept = 200;

export class Report {
  readonly #kept = new Map<string, ComposeDiagnostic>();

  error(place: Place, code: string, message: string, advice = ''): void {
    this.#add('error', place, code, message, advice);
  }

  warn(place: Place, code: string, message: string, advice = ''): void {
    this.#add('warning', place, code, message, advice);
  }

  get warnings(): ComposeDiagnostic[] {
    return this.#all().filter((one) => one.severity === 'warning');
  }

  get failed(): boolean {
    return [...this.#kept.values()].some((one) => one.severity === 'error');
  }

  /** @throws StrataError of kind `invalid`, with every error and warning in `details.diagnostics` */
  throwIfFailed(): void {
    const errors = this.#all().filter((one) => one.severity === 'error');
    const [first] = errors;
    if (first === undefined) return;
    const more = errors.length === 1 ? '' : ` (and ${errors.length - 1} more)`;
    throw new StrataError(`${first.message}${more}`, {
      code: errors.length === 1 ? first.code : 'compose.invalid', kind: 'invalid', place: { file: first.file, line: first.line, column: first.column },
      ...(first.advice === '' ? {} : { advice: first.advice }), details: { diagnostics: this.#all() },
    });
  }

  /** In the order of the files' text. */
  #all(): ComposeDiagnostic[] {
    const files = [...new Set([...this.#kept.values()].map((one) => one.file))];
    return [...this.#kept.values()].toSorted((a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.column - b.column);
  }

  #add(severity: 'error' | 'warning', { file, line, column }: Place, code: string, message: string, advice: string): void {
    const key = `${file}:${line}:${column}:${message}`;
    if (this.#kept.size < mostKept && !this.#kept.has(key)) this.#kept.set(key, { severity, code, file, line, column, message: shorten(message), advice });
  }
}

/** Text of a file may be long, or hold what a terminal would obey. */
function shorten(text: string): string {
  // eslint-disable-next-line no-control-regex
  const plain = text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, (one) => `\\x${one.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return plain.length <= 500 ? plain : `${plain.slice(0, 497)}...`;
}
