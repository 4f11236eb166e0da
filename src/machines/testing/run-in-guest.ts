/** For tests: a program in a guest, by its agent, to its end. */
import { systemClock } from '#base';
import type { AgentConnection } from '../machines.ts';

export interface GuestRun { readonly code: number; readonly out: string }

/** A guest may wait for ever, for a disk that is gone. */
async function tooLate(limitMs: number, script: string, signal: AbortSignal): Promise<never> {
  await systemClock.wait(limitMs, signal);
  throw new Error(`the guest did not end within ${limitMs} ms: ${script}`);
}

/** What it prints on both outputs, and its exit code; a shell line where one string is given. */
export async function runInGuest(agent: AgentConnection, script: string, timeoutMs = 120_000): Promise<GuestRun> {
  const stop = new AbortController();
  const stream = agent.openStream();
  stream.input.end();
  let out = '';
  stream.output.on('data', (bytes: Buffer) => { out += String(bytes); });
  stream.errors.on('data', (bytes: Buffer) => { out += String(bytes); });
  await agent.call('exec', { container: '', stream: stream.id, argv: ['/bin/sh', '-c', script], env: ['PATH=/bin'], cwd: '/', user: '', tty: null, stdin: false }, { timeoutMs });
  const code = await Promise.race([stream.done, tooLate(timeoutMs, script, stop.signal)]).finally(() => stop.abort());
  return { code, out };
}
