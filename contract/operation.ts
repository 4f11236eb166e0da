/** Long work: an operation with steps and progress, and the events of the watch. */
import { z } from 'zod';
import { listOf, timeField } from './fields.ts';
import { problemSchema } from './problem.ts';

export const operationStatuses = ['pending', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled'] as const;
export type OperationStatus = (typeof operationStatuses)[number];

export const stepSchema = z.strictObject({
  kind: z.string().describe('machine.start, container.create'),
  subject: z.string().describe('what it acts on'),
  summary: z.string().describe('one line for people'),
  status: z.enum(['waiting', 'running', 'done', 'skipped', 'failed', 'undone']),
  note: z.string().describe('why it waits, failed or was skipped; progress in words'),
  startedAt: timeField.nullable(),
  finishedAt: timeField.nullable(),
}).meta({ id: 'Step' });
export type Step = z.infer<typeof stepSchema>;

export const operationSchema = z.strictObject({
  id: z.string(),
  kind: z.string().describe('app.up, app.down, image.pull'),
  subject: z.string().describe('name of what it acts on'),
  status: z.enum(operationStatuses),
  steps: z.array(stepSchema),
  progress: z.number().min(0).max(1),
  result: z.record(z.string(), z.unknown()).nullable().describe('what it made, once succeeded'),
  error: problemSchema.nullable().describe('why it failed'),
  warnings: z.array(z.string()),
  createdAt: timeField,
  finishedAt: timeField.nullable(),
}).meta({ id: 'Operation' });
export type Operation = z.infer<typeof operationSchema>;
export const operationListSchema = listOf(operationSchema).meta({ id: 'OperationList' });

export const eventKinds = ['host', 'machine', 'image', 'app', 'service', 'container', 'volume', 'operation'] as const;
export const eventSchema = z.strictObject({
  revision: z.int(),
  kind: z.enum(eventKinds),
  id: z.string(),
  change: z.enum(['put', 'remove']),
}).meta({ id: 'Event' });
export type Event = z.infer<typeof eventSchema>;
