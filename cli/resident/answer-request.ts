/** One request of the resident's: the command as the caller would run it, with its words, variables, folder and streams. */
import { isAbsolute } from 'node:path';
import type { Caller } from '../caller.ts';
import { runCommandLine } from '../run-command-line.ts';
import type { Verb } from '../verb.ts';
import { captureStream } from './captured-stream.ts';
import type { Answer, RunRequest } from './frames.ts';

/** The caller can do this, and the resident does not. */
class Declined extends Error {}
const decline = (): never => { throw new Declined(); };

/** Variables that name folders; where one is relative, it is so to the caller's. */
const folders = ['STRATA_RUN', 'STRATA_STATE', 'STRATA_CACHE'] as const;

/** undefined where the caller has to run the command itself: whatever does more than ask and print, and whatever goes wrong here. */
export async function answerRequest(request: RunRequest, interrupted: AbortSignal): Promise<Answer | undefined> {
  if (!folders.every((name) => isAbsolute(request.env[name] ?? '/'))) return undefined;
  const [out, err] = [captureStream(request.out), captureStream(request.err)];
  const caller: Caller = { argv: request.argv, env: request.env, cwd: request.cwd, out: out.stream, err: err.stream, startDaemon: async () => decline() };
  const chosen = (verb: Verb) => { if (verb.resident !== true) decline(); };
  try {
    // Errors that nobody planned are told by the caller's own process, which has a stack of its own and nothing else to lose.
    return { code: await runCommandLine(caller, { interrupted, chosen, passOn: (error) => error instanceof Declined }), out: out.text(), err: err.text() };
  } catch {
    return undefined;
  }
}
