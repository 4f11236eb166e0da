/** The container runtime as a program: how it is called, and what it says when it cannot. */
import * as os from 'os';
import { cancel, after } from './loop.ts';
import { killGroup, runToEnd, spawn } from './children.ts';
import { readText } from './files.ts';

const program = ['/usr/bin/crun', '--root', '/run/crun'];
const env = ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'XDG_RUNTIME_DIR=/run'];
const runLimitMs = 120_000;
const deleteLimitMs = 30_000;

/** Starts the container of a bundle. @returns the pid of its first process, which is ours to reap. @throws Error in crun's words */
export async function crunRun(id: string, bundle: string, stdio: readonly [number, number, number]): Promise<number> {
  const pidFile = `/run/containers/${id}.pid`;
  // crun hands its own stdio to the container, so what it says itself goes to a file.
  const sayings = `/run/containers/${id}.crun`;
  os.remove(sayings);
  os.remove(pidFile);
  const code = await new Promise<number>((resolve) => {
    const timer = after(runLimitMs, () => killGroup(pid));
    const pid = spawn({ argv: [...program, '--log', `file:${sayings}`, 'run', '--detach', '--pid-file', pidFile, '--bundle', bundle, id], env, stdio }, (ended) => {
      cancel(timer);
      resolve(ended);
    });
  });
  const started = Number(readText(pidFile) ?? 0);
  if (code === 0 && started > 1) return started;
  throw new Error(`crun: ${(readText(sayings) ?? '').trim().split('\n').pop() || `exit code ${code}`}`);
}

/** Forgets a container whatever state it is in; kills what is left of it. Fine for an unknown one. */
export async function crunDelete(id: string): Promise<void> {
  await runToEnd(deleteLimitMs, (stdio, tell) => spawn({ argv: [...program, 'delete', '--force', id], env, stdio }, tell));
}
