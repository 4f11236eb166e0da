/** Starts a resident behind this command, for the next ones; it outlives us and ends by itself. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Waits for nothing: a resident that cannot be is no failure of the command. */
export function startResident(): void {
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  // Of the caller's variables none stays: each request brings its own.
  const env = { ...(PATH === undefined ? {} : { PATH }), ...(NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }) };
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=1', fileURLToPath(new URL('main.ts', import.meta.url))], { detached: true, stdio: 'ignore', cwd: '/', env });
  child.once('error', () => { /* the next command tries again */ });
  child.unref();
}
