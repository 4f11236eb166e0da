/**
 * The one kind of error that crosses a layer's door.
 *
 * An error says what failed, to what, and what to do next, with a code that never changes once
 * published (`machine.hostFull`). The api layer turns `kind` into an HTTP status and the CLI turns it
 * into an exit code, so nothing below knows about either.
 */

/** Broad families; each has one HTTP status (api) and one exit code (cli). */
export type ErrorKind =
  | 'invalid' // the request or file is wrong; nothing was changed
  | 'notFound'
  | 'conflict' // somebody else changed it, or it exists already
  | 'refused' // understood and possible, but not permitted in this state or by this engine
  | 'exhausted' // no memory, disk, address or port left
  | 'unavailable' // what we depend on is not there now; trying again may help
  | 'timeout'
  | 'internal';

/** A position in a file the user wrote; lines and columns count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface StrataErrorFields {
  readonly code: string;
  readonly kind: ErrorKind;
  /** What to do next, one sentence, no full stop needed. */
  readonly advice?: string;
  readonly place?: Place;
  readonly cause?: unknown;
  /** Facts for programs (limits, numbers, names); no secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export class StrataError extends Error {
  override readonly name = 'StrataError';
  readonly code: string;
  readonly kind: ErrorKind;
  readonly advice: string | undefined;
  readonly place: Place | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(message: string, fields: StrataErrorFields) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = fields.code;
    this.kind = fields.kind;
    this.advice = fields.advice;
    this.place = fields.place;
    this.details = fields.details;
  }
}

/** Turns anything thrown into a StrataError, keeping the original as the cause. */
export function asStrataError(thrown: unknown, doing: string): StrataError {
  if (thrown instanceof StrataError) return thrown;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return new StrataError(`${doing}: ${text}`, { code: 'base.unexpected', kind: 'internal', cause: thrown });
}

/** `path:line:column: ` or nothing. */
export function formatPlace(place: Place | undefined): string {
  return place === undefined ? '' : `${place.file}:${place.line}:${place.column}: `;
}
