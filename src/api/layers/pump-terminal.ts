/**
 * Joins the api's terminal session with a stream of the guest's agent, both ways with back-pressure, until
 * the program ends or the client leaves.
 */
import { pipeline } from 'node:stream/promises';
import type { AgentStream } from '#machines';
import type { TerminalSession } from '../backend.ts';

export interface TerminalControl {
  resize(rows: number, columns: number): Promise<void>;
  signal(name: string): Promise<void>;
}

/** @returns the program's exit code; 129 where the client left first. */
export async function pumpTerminal(session: TerminalSession, stream: AgentStream, control: TerminalControl): Promise<number> {
  const ignore = () => { /* the stream's end tells what matters */ };
  session.onResize((size) => { control.resize(size.rows, size.columns).catch(ignore); });
  session.onSignal((name) => { control.signal(name).catch(ignore); });
  const leave = () => stream.close();
  session.gone.addEventListener('abort', leave, { once: true });
  const input = pipeline(session.input, stream.input).catch(ignore);
  const outputs = Promise.all([
    pipeline(stream.output, session.output, { end: false }).catch(ignore),
    pipeline(stream.errors, session.errors, { end: false }).catch(ignore),
  ]);
  try {
    const code = await Promise.race([stream.done, gone(session.gone)]);
    if (!session.gone.aborted) await outputs;
    return code;
  } finally {
    session.gone.removeEventListener('abort', leave);
    stream.close();
    session.input.destroy();
    await input;
  }
}

function gone(signal: AbortSignal): Promise<number> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(129);
    else signal.addEventListener('abort', () => resolve(129), { once: true });
  });
}
