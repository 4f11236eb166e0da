/** Whoever wants one command carried out: its words, its streams, where it stands. This process itself, or one that asks a resident. */
import type { Places } from '#client';

export interface Caller {
  /** Without the program's own name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly out: NodeJS.WriteStream;
  readonly err: NodeJS.WriteStream;
  /** Starts the daemon, and prepares the host for it first; `say` is told what happens. */
  startDaemon(places: Places, say: (line: string) => void, signal: AbortSignal): Promise<void>;
}

/** This process: the command as it is run by hand. */
export function ownCaller(): Caller {
  const words = process.argv.slice(2);
  return {
    // The launcher says by `--` where the caller's words begin.
    argv: words[0] === '--' ? words.slice(1) : words, env: process.env, cwd: process.cwd(), out: process.stdout, err: process.stderr,
    startDaemon: async (...how) => { const { startDaemon } = await import('./start-daemon.ts'); await startDaemon(...how); },
  };
}
