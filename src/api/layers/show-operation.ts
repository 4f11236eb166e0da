/** An operation's record as the contract's view. Pure. */
import { StrataError } from '#base';
import type { Operation, Problem, Step } from '#contract';
import type { UserOperation, UserStep } from '#reconcile';
import { problemOf } from '../problems.ts';
import { timeOf, timeOrNull } from './show-machine.ts';

const stepStatus = { running: 'running', succeeded: 'done', failed: 'failed', cancelled: 'undone' } as const satisfies Record<UserStep['status'], Step['status']>;

export function showOperation(one: UserOperation): Operation {
  return {
    id: one.id, kind: one.kind, subject: one.subject, status: one.status, progress: one.progress, result: one.result, warnings: [...one.warnings],
    steps: one.steps.map((step) => showStep(one, step)),
    error: one.error === null ? null : showError(one.id, one.error),
    createdAt: timeOf(one.createdAt), finishedAt: timeOrNull(one.endedAt),
  };
}

function showStep(operation: UserOperation, step: UserStep): Step {
  return {
    kind: `${operation.kind}.${step.name.split(' ')[0] ?? ''}`, subject: operation.subject, summary: step.name, status: stepStatus[step.status], note: step.message,
    startedAt: timeOf(step.startedAt), finishedAt: timeOrNull(step.endedAt),
  };
}

function showError(id: string, error: NonNullable<UserOperation['error']>): Problem {
  const { message, ...fields } = error;
  const kept = new StrataError(message, {
    code: fields.code, kind: fields.kind,
    ...(fields.advice === undefined ? {} : { advice: fields.advice }), ...(fields.place === undefined ? {} : { place: fields.place }), ...(fields.details === undefined ? {} : { details: fields.details }),
  });
  return problemOf(kept, { requestId: '', path: `/v1/operations/${id}` });
}

/** An operation that only tells what would be done. */
export function previewOperation(id: string, name: string, lines: readonly string[], now: number): Operation {
  const at = timeOf(now);
  return {
    id, kind: 'app.up', subject: name, status: 'succeeded', progress: 1, result: { dryRun: true }, error: null, warnings: [], createdAt: at, finishedAt: at,
    steps: lines.map((summary) => ({ kind: 'app.up.preview', subject: name, summary, status: 'skipped', note: '', startedAt: null, finishedAt: null })),
  };
}
