/** Errors as the API shows them: the one place where a StrataError's kind becomes an HTTP status. */
import { z } from 'zod';
import { StrataError, asStrataError, type ErrorKind } from '#base';
import type { Diagnostic, Problem } from '#contract';

const statusOfKind: Readonly<Record<ErrorKind, number>> = {
  invalid: 400, notFound: 404, conflict: 409, refused: 409, exhausted: 507, unavailable: 503, timeout: 504, internal: 500,
};

/** Codes whose status says more than their kind does. */
const statusOfCode: Readonly<Record<string, number>> = {
  'api.methodNotAllowed': 405, 'api.preconditionFailed': 412, 'api.bodyTooLarge': 413, 'api.unsupportedMediaType': 415,
  'api.upgradeRequired': 426, 'api.headersTooLarge': 431, 'api.requestTimeout': 408, 'api.forbidden': 403, 'store.compacted': 410,
};

const titles: Readonly<Record<ErrorKind, string>> = {
  invalid: 'The request is not valid', notFound: 'There is no such thing', conflict: 'It conflicts with what is there', refused: 'It is not permitted now',
  exhausted: 'There is no room left', unavailable: 'Something needed is not available now', timeout: 'It took too long', internal: 'Something went wrong inside',
};

/** One wrong field: JSON pointer into `/path`, `/query` or `/body`. */
export interface FieldError { readonly pointer: string; readonly detail: string }

const noteSchema = z.object({
  severity: z.enum(['error', 'warning']).default('error'), code: z.string().default(''), file: z.string(),
  line: z.int().min(1).catch(1), column: z.int().min(1).catch(1), message: z.string(), advice: z.string().default(''),
});

export interface RequestFacts { readonly requestId: string; readonly path: string }

/** The problem for anything thrown. */
export function problemOf(thrown: unknown, request: RequestFacts): Problem {
  const error = asStrataError(thrown, 'unexpected');
  const { errors, diagnostics, ...details } = error.details ?? {};
  return {
    type: `urn:strata:problem:${error.code}`,
    title: titles[error.kind],
    status: statusOfCode[error.code] ?? statusOfKind[error.kind],
    detail: error.message,
    instance: request.path,
    code: error.code,
    advice: error.advice ?? '',
    requestId: request.requestId,
    errors: Array.isArray(errors) && error.code.startsWith('api.') ? (errors as FieldError[]) : [],
    diagnostics: diagnosticsOf(error, diagnostics),
    ...(Object.keys(details).length === 0 ? {} : { details: plainJson(details) }),
  };
}

/** The caller's revision is not the present one: answers 412. */
export function preconditionFailed(subject: string, revision: number): StrataError {
  return new StrataError(`${subject} was changed meanwhile; its revision is ${revision}`, {
    code: 'api.preconditionFailed', kind: 'conflict', advice: 'read it again and repeat the change', details: { revision },
  });
}

/** A request that does not fit the contract. */
export function invalidRequest(errors: readonly FieldError[]): StrataError {
  const first = errors[0];
  const message = first === undefined ? 'the request is not valid' : `${first.pointer}: ${first.detail}${errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''}`;
  return new StrataError(message, { code: 'api.invalidRequest', kind: 'invalid', advice: 'GET /openapi.json says what is expected', details: { errors } });
}

function diagnosticsOf(error: StrataError, listed: unknown): Diagnostic[] {
  if (Array.isArray(listed)) {
    const notes = listed.map((one) => noteSchema.safeParse(flattenPlace(one))).flatMap((result) => (result.success ? [result.data] : []));
    if (notes.length > 0) return notes;
  }
  if (error.place === undefined) return [];
  return [{ severity: 'error', code: error.code, ...error.place, message: error.message, advice: error.advice ?? '' }];
}

/** `{place: {file, line, column}, …}` reads the same as `{file, line, column, …}`. */
function flattenPlace(note: unknown): unknown {
  if (typeof note !== 'object' || note === null || !('place' in note) || typeof note.place !== 'object') return note;
  return { ...note, ...note.place };
}

/** Details as plain JSON of bounded size: a cyclic or huge value must not spoil the answer. */
function plainJson(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  try {
    const text = JSON.stringify(details, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value));
    return text.length <= 64 * 1024 ? (JSON.parse(text) as Record<string, unknown>) : { omitted: `${text.length} characters of details` };
  } catch (error) {
    return { omitted: `details cannot be shown: ${error instanceof Error ? error.message : String(error)}` };
  }
}
