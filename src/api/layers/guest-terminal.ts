/** A program or the console of a guest, joined with the client's terminal. */
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ExecRequest } from '#contract';
import type { AgentConnection } from '#machines';
import type { TerminalSession } from '../backend.ts';
import { pumpTerminal } from './pump-terminal.ts';

/** Runs the program to its end; `container` is '' for the guest itself. @returns its exit code */
export async function execInGuest(connection: AgentConnection, container: string, request: ExecRequest, session: TerminalSession): Promise<number> {
  const stream = connection.openStream();
  try {
    await connection.call('exec', { container, stream: stream.id, argv: request.argv, env: request.env, cwd: request.cwd, user: request.user, tty: request.tty, stdin: request.stdin });
  } catch (thrown) {
    stream.close();
    throw thrown;
  }
  return pumpTerminal(session, stream, {
    resize: async (rows, columns) => { await connection.call('execResize', { stream: stream.id, rows, columns }); },
    signal: async (name) => { await connection.call('execSignal', { stream: stream.id, signal: name }); },
  });
}

/** Until either end closes. */
export async function pumpConsole(console: Duplex, session: TerminalSession): Promise<void> {
  const leave = () => console.destroy();
  session.gone.addEventListener('abort', leave, { once: true });
  const ignore = () => { /* one end closed, which ends the session */ };
  const input = pipeline(session.input, console, { end: false }).catch(ignore);
  await pipeline(console, session.output, { end: false }).catch(ignore);
  session.gone.removeEventListener('abort', leave);
  console.destroy();
  session.input.destroy();
  await input;
}
