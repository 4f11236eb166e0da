/**
 * The shape and size of every message a guest may send. Unknown fields are dropped, not refused: a guest
 * started by another version of Strata goes on being understood. Text a person may see loses its control
 * characters here, so that no guest writes to anybody's terminal.
 */
import { z } from 'zod';
import type { AgentCalls, AgentEvent, AgentMethod } from '#guest-protocol';

/** Guest's text of at most that many characters, in one terminal-safe piece. */
const text = (most: number) => z.string().max(most).transform(printable);
const count = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const whole = z.int();
const identifier = z.string().regex(/^[A-Za-z0-9._:-]{1,128}$/);
const streamId = z.int().min(1).max(0xffff_ffff);
const nothing = z.object({}).transform((): Record<string, never> => ({}));

/** Control characters but tab and newline become spaces. */
export function printable(value: string): string {
  // eslint-disable-next-line no-control-regex
  return value.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, ' ');
}

export const containerStateSchema = z.object({
  id: identifier,
  digest: identifier,
  phase: z.enum(['created', 'running', 'stopping', 'waiting', 'exited']),
  pid: whole,
  startedAtMs: count,
  finishedAtMs: count,
  exitCode: whole,
  oomKilled: z.boolean(),
  restarts: whole.min(0),
  health: z.enum(['none', 'starting', 'healthy', 'unhealthy']),
  lastProbe: z.object({ atMs: count, ok: z.boolean(), output: text(64 * 1024) }).nullable(),
  error: text(64 * 1024),
  cloned: z.boolean().optional(),
});

export const helloSchema = z.object({
  nonce: z.string().max(64),
  protocol: whole,
  agentVersion: z.string().regex(/^[\w.+-]{1,40}$/),
  bootId: z.string().regex(/^[0-9a-f-]{8,36}$/),
  kernel: z.string().regex(/^[\w.+~-]{1,100}$/),
  architecture: z.string().regex(/^\w{1,20}$/),
  uptimeMs: count,
});

const results: { readonly [M in AgentMethod]: z.ZodType<AgentCalls[M]['result']> } = {
  hello: helloSchema,
  configure: nothing,
  ping: z.object({ uptimeMs: count }),
  containerStart: containerStateSchema,
  containerStop: containerStateSchema,
  containerKill: nothing,
  containerRemove: nothing,
  containerFreeze: nothing,
  containerGoOn: containerStateSchema,
  containerList: z.object({ containers: z.array(containerStateSchema).max(4096) }),
  containerStats: z.object({ cpuNanos: count, userNanos: count.optional(), systemNanos: count.optional(), calls: count.optional(), memoryBytes: count, memoryPeakBytes: count, pids: count, oomKills: count }),
  containerLogs: nothing,
  exec: z.object({ pid: whole }),
  execResize: nothing,
  execSignal: nothing,
  fileRead: z.object({ content: z.base64().max(1_500_000), eof: z.boolean() }),
  fileWrite: nothing,
  stats: z.object({ memoryTotalBytes: count, memoryAvailableBytes: count, load1: count, uptimeMs: count, disks: z.array(z.string().regex(/^[\w.-]{1,64}$/)).max(1024) }),
  awaitDisks: nothing,
  releaseDisk: nothing,
  freezeDisk: nothing,
  powerOff: nothing,
};

/** The checked result, or undefined where it has not the form the method's answer has. */
export function checkResult<M extends AgentMethod>(method: M, value: unknown): AgentCalls[M]['result'] | undefined {
  const parsed = results[method].safeParse(value);
  return parsed.success ? parsed.data : undefined;
}

const eventSchema = z.discriminatedUnion('event', [
  z.object({ event: z.literal('container'), state: containerStateSchema }),
  z.object({ event: z.literal('exit'), stream: streamId, code: whole.min(-1).max(255) }),
  z.object({ event: z.literal('end'), stream: streamId, error: text(4096) }),
]);
const replySchema = z.union([
  z.object({ id: z.int().min(1), result: z.unknown().refine((result) => result !== undefined) }),
  z.object({ id: z.int().min(1), error: z.object({ code: z.string().regex(/^\w{1,40}$/), message: text(64 * 1024) }) }),
]);

export type GuestMessage =
  | { readonly kind: 'event'; readonly event: AgentEvent }
  | { readonly kind: 'result'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly code: string; readonly message: string };

const decoder = new TextDecoder('utf-8', { fatal: true });

/** What a JSON frame says, or undefined where it is none of the messages a guest may send. */
export function readGuestMessage(payload: Uint8Array): GuestMessage | undefined {
  let value: unknown;
  try { value = JSON.parse(decoder.decode(payload)); } catch { return undefined; }
  if (typeof value !== 'object' || value === null) return undefined;
  if ('event' in value) {
    const event = eventSchema.safeParse(value);
    return event.success ? { kind: 'event', event: event.data } : undefined;
  }
  const reply = replySchema.safeParse(value);
  if (!reply.success) return undefined;
  return 'error' in reply.data ? { kind: 'error', id: reply.data.id, ...reply.data.error } : { kind: 'result', id: reply.data.id, result: reply.data.result };
}
