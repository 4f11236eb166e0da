/** Joins our terminal or pipes with an exec or console stream; the terminal is restored on every path. */
import type { Terminal } from '#client';
import { exitCodes } from './verb.ts';

export interface TerminalOptions {
  /** Raw mode, window size, one stream. */
  readonly tty: boolean;
  /**
   * A console: nothing in it ends with us, so we leave it. Ctrl-] does, and what ends a command elsewhere: a signal, and
   * the end of our stdin, a moment later for what the guest says to the last words.
   */
  readonly escape: boolean;
  readonly interrupted: AbortSignal;
}

const escapeByte = 0x1d;
/** A guest that is emulated answers a line within it. */
const lastWordsMs = 1_000;

/** The size of our terminal; 24 × 80 where it is unknown. */
export const ownSize = (): { rows: number; columns: number } => ({ rows: process.stdout.rows || 24, columns: process.stdout.columns || 80 });

/** Exit code of what ran. @throws ClientProblem */
export async function runTerminal(terminal: Terminal, options: TerminalOptions): Promise<number> {
  const restore = options.tty ? enterRawMode() : () => {};
  let left = false;
  let lastWords: NodeJS.Timeout | undefined;
  const leave = () => { left = true; terminal.close(); };
  const onResize = () => terminal.resize(ownSize());
  const onInterrupt = () => { if (options.escape) leave(); else terminal.signal('SIGINT'); };
  const onInput = (chunk: Buffer) => {
    const at = options.escape ? chunk.indexOf(escapeByte) : -1;
    if (at < 0) { if (!terminal.input.write(chunk)) pauseInput(terminal); return; }
    terminal.input.write(chunk.subarray(0, at));
    leave();
  };
  const onEnd = () => {
    terminal.input.end();
    if (options.escape) lastWords = setTimeout(leave, lastWordsMs);
  };
  const drained = [pump(terminal.output, process.stdout), pump(terminal.errors, process.stderr)];
  process.stdin.on('data', onInput).on('end', onEnd);
  if (options.tty) process.stdout.on('resize', onResize);
  options.interrupted.addEventListener('abort', onInterrupt);
  // A signal may have come before we listened.
  if (options.interrupted.aborted) onInterrupt();
  try {
    const code = await terminal.done;
    await Promise.all(drained);
    return code;
  } catch (error) {
    if (left) return exitCodes.ok;
    throw error;
  } finally {
    restore();
    clearTimeout(lastWords);
    options.interrupted.removeEventListener('abort', onInterrupt);
    process.stdout.off('resize', onResize);
    process.stdin.off('data', onInput).off('end', onEnd);
    process.stdin.destroy();
    terminal.close();
  }
}

function pauseInput(terminal: Terminal): void {
  process.stdin.pause();
  terminal.input.once('drain', () => process.stdin.resume());
}

/** Raw keys until the returned function is called; also restored where the process just ends. */
function enterRawMode(): () => void {
  if (!process.stdin.isTTY) return () => {};
  process.stdin.setRawMode(true);
  const restore = () => {
    process.off('exit', restore);
    if (!process.stdin.destroyed) process.stdin.setRawMode(false);
  };
  process.on('exit', restore);
  return restore;
}

/** Copies until the source ends, waiting for a slow reader; the target stays open. */
function pump(from: NodeJS.ReadableStream, to: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => {
    from.on('data', (chunk: Buffer) => {
      if (to.write(chunk)) return;
      from.pause();
      to.once('drain', () => from.resume());
    });
    from.on('end', resolve);
    from.on('close', resolve);
  });
}
