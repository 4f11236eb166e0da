/** What a QEMU monitor may say. It comes from a process that may be captured: shapes are checked, the rest is ignored. */
import { z } from 'zod';

const eventSchema = z.looseObject({ event: z.string().max(100), data: z.record(z.string(), z.unknown()).optional(), timestamp: z.looseObject({ seconds: z.number(), microseconds: z.number() }).optional() });
const returnSchema = z.looseObject({ return: z.unknown(), id: z.int() });
const errorSchema = z.looseObject({ error: z.looseObject({ class: z.string().max(100), desc: z.string().max(10_000) }), id: z.int().optional() });
const greetingSchema = z.looseObject({ QMP: z.looseObject({ version: z.looseObject({ qemu: z.looseObject({ major: z.int(), minor: z.int(), micro: z.int() }) }) }) });

export interface QmpEvent { readonly event: string; readonly data: Readonly<Record<string, unknown>> }

export type QmpMessage =
  | { readonly kind: 'greeting'; readonly version: string }
  | { readonly kind: 'event'; readonly event: QmpEvent }
  | { readonly kind: 'return'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number | undefined; readonly class: string; readonly description: string }
  | { readonly kind: 'other' };

/** @throws SyntaxError where the line is no JSON */
export function parseQmpMessage(line: string): QmpMessage {
  const value: unknown = JSON.parse(line);
  if (typeof value !== 'object' || value === null) return { kind: 'other' };
  if ('event' in value) {
    const event = eventSchema.safeParse(value);
    return event.success ? { kind: 'event', event: { event: event.data.event, data: event.data.data ?? {} } } : { kind: 'other' };
  }
  if ('return' in value) {
    const answer = returnSchema.safeParse(value);
    return answer.success ? { kind: 'return', id: answer.data.id, value: answer.data.return } : { kind: 'other' };
  }
  if ('error' in value) {
    const answer = errorSchema.safeParse(value);
    return answer.success ? { kind: 'error', id: answer.data.id, class: answer.data.error.class, description: answer.data.error.desc } : { kind: 'other' };
  }
  const greeting = greetingSchema.safeParse(value);
  if (!greeting.success) return { kind: 'other' };
  const { major, minor, micro } = greeting.data.QMP.version.qemu;
  return { kind: 'greeting', version: `${major}.${minor}.${micro}` };
}
