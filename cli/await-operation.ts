/** Waits for an operation with progress on stderr, and turns its end into an exit code. */
import { followOperation, type Client } from '#client';
import type { Operation } from '#client';
import { wantsColour } from './colour.ts';
import type { Context } from './context.ts';
import { inert, problemLines } from './explain.ts';
import { openProgress } from './show-progress.ts';
import { exitCodes } from './verb.ts';

export interface AwaitOptions {
  readonly quiet: boolean;
  /** At Ctrl-C: ask the daemon to stop and undo; else the operation goes on without us. */
  readonly cancelOnInterrupt: boolean;
}

/** Exit code 0, 1, 2 (the request was wrong), 124 (it took too long) or 130; what went wrong is said on stderr. */
export async function awaitOperation(client: Client, context: Context, started: Operation, options: AwaitOptions): Promise<number> {
  const progress = openProgress(context.err, { quiet: options.quiet, colour: wantsColour(context.err, context.env) });
  let latest = started;
  progress.show(latest);
  try {
    if (latest.finishedAt === null) for await (const seen of followOperation(client, started.id, { signal: context.interrupted, revive: () => context.revive() })) { latest = seen; progress.show(seen); }
  } finally {
    progress.end();
  }
  if (context.interrupted.aborted && latest.finishedAt === null) return leave(client, context, latest, options);
  if (latest.status === 'succeeded') return exitCodes.ok;
  if (latest.error === null) context.say(`strata: ${latest.kind} ${inert(latest.subject)} was ${latest.status}`);
  else for (const line of problemLines(latest.error)) context.say(inert(line));
  return { 400: exitCodes.usage, 504: exitCodes.timeout }[latest.error?.status ?? 0] ?? exitCodes.failed;
}

async function leave(client: Client, context: Context, operation: Operation, options: AwaitOptions): Promise<number> {
  if (options.cancelOnInterrupt) {
    const asked = await client.call('cancelOperation', { params: { operation: operation.id }, timeoutMs: 5_000 });
    // It stops where it can still be undone: what is nearly done is done.
    context.say(`strata: interrupted; ${operation.kind} ${inert(operation.subject)} ${asked.finishedAt === null ? 'is being cancelled, and may still finish where it is nearly done' : `had ended: ${asked.status}`}`);
    if (operation.kind === 'app.up') context.say(`  what it made so far stays; \`strata down -p ${inert(operation.subject)}\` takes it away, \`strata up\` goes on`);
  } else context.say(`strata: interrupted; ${operation.kind} ${operation.subject} goes on`);
  context.say(`  \`strata operation show ${operation.id}\` tells how it ends`);
  return exitCodes.interrupted;
}
