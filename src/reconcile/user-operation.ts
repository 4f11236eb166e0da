/** The record of long work a person started and may watch, cancel and look up later: `operation/<id>`. */
import { z } from 'zod';
import type { StrataError } from '#base';

export const userStepSchema = z.strictObject({
  name: z.string(),
  status: z.enum(['running', 'succeeded', 'failed', 'cancelled']),
  startedAt: z.int(),
  endedAt: z.int().nullable(),
  message: z.string().describe('progress in words, or why it failed'),
});
export type UserStep = z.infer<typeof userStepSchema>;

export const operationErrorSchema = z.strictObject({
  code: z.string(),
  kind: z.enum(['invalid', 'notFound', 'conflict', 'refused', 'exhausted', 'unavailable', 'timeout', 'internal']),
  message: z.string(),
  advice: z.string().optional(),
  place: z.strictObject({ file: z.string(), line: z.int(), column: z.int() }).optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});

export const userOperationSchema = z.strictObject({
  id: z.string(),
  kind: z.string().describe('app.up, image.pull'),
  subject: z.string().describe('name of what it acts on'),
  status: z.enum(['running', 'cancelling', 'succeeded', 'failed', 'cancelled']),
  steps: z.array(userStepSchema),
  progress: z.number().min(0).max(1),
  result: z.record(z.string(), z.unknown()).nullable(),
  error: operationErrorSchema.nullable(),
  warnings: z.array(z.string()),
  /** What a re-run after a crash of the daemon needs; null where it is not to be run again. */
  input: z.unknown().optional(),
  attempts: z.int(),
  createdAt: z.int(),
  endedAt: z.int().nullable(),
});
export type UserOperation = z.infer<typeof userOperationSchema>;

export const operationKey = (id: string): string => `operation/${id}`;

/** What the body of an operation may do besides its work. */
export interface OperationRun {
  readonly id: string;
  /** Aborted by cancel and by the end of the daemon. */
  readonly signal: AbortSignal;
  /** Shows a step with its time; several may run at once. The body's failure is the step's. */
  step<T>(name: string, body: (say: (message: string) => void) => Promise<T>): Promise<T>;
  /** Between 0 and 1. */
  progress(fraction: number): void;
  warn(message: string): void;
}

export const hasEnded = (operation: UserOperation): boolean => operation.endedAt !== null;

/** The error as it is kept; details only where they are plain JSON of modest size. */
export function keptError(error: StrataError): UserOperation['error'] {
  return {
    code: error.code, kind: error.kind, message: error.message.slice(0, 4000),
    ...(error.advice === undefined ? {} : { advice: error.advice }),
    ...(error.place === undefined ? {} : { place: { ...error.place } }),
    ...(error.details === undefined ? {} : keptDetails(error.details)),
  };
}

function keptDetails(details: Readonly<Record<string, unknown>>): { details?: Record<string, unknown> } {
  try {
    const json = JSON.stringify(details);
    return json.length > 64 * 1024 ? {} : { details: JSON.parse(json) as Record<string, unknown> };
  } catch {
    return {}; // details are an extra: what is no JSON is left out, the error itself is kept
  }
}
