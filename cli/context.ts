/** What every verb is given: streams, environment, and a client whose daemon runs. */
import { ClientProblem, isReading, openClient, placesFromEnvironment, type Client, type Places } from '#client';
import type { Caller } from './caller.ts';

export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly places: Places;
  readonly out: NodeJS.WriteStream;
  readonly err: NodeJS.WriteStream;
  /** Aborted at the first Ctrl-C. */
  readonly interrupted: AbortSignal;
  /** One line on stderr. */
  say(line: string): void;
  /** The client; starts the daemon where none answers, unless told not to. */
  client(options?: { readonly start?: boolean }): Promise<Client>;
  /** Starts the daemon again where it died under us. */
  revive(): Promise<void>;
  close(): void;
}

export function openContext(caller: Caller, interrupted: AbortSignal): Context {
  const { env, cwd, out, err } = caller;
  const places = placesFromEnvironment(env);
  let opened: Client | undefined;
  const say = (line: string) => { err.write(`${line}\n`); };
  const revive = () => caller.startDaemon(places, say, interrupted);
  return {
    env, cwd, places, out, err, interrupted, say, revive,
    client: async (options = {}) => {
      opened ??= openClient(places.socketPath);
      return options.start === false ? opened : reviving(opened, revive);
    },
    close: () => opened?.close(),
  };
}

/** The daemon may not run, or end between two calls: what it did not take is asked again once one runs. */
function reviving(client: Client, revive: () => Promise<void>): Client {
  let answered = false;
  /** One cheap request before what cannot be asked twice: a daemon that answers it is there and ready. */
  const ensure = async () => {
    if (!answered && !(await answers(client))) await revive();
    answered = true;
  };
  return {
    ...client,
    call: async (id, options) => {
      if (!isReading(id)) await ensure();
      try {
        const answer = await client.call(id, options);
        answered = true;
        return answer;
      } catch (error) {
        if (!(error instanceof ClientProblem) || !(isReading(id) ? isGone(error) : isUnseen(error))) throw error;
        await revive();
        return client.call(id, options);
      }
    },
    stream: async function* stream(id, options) {
      await ensure();
      yield* client.stream(id, options);
    },
    terminal: async (id, handle, begin) => {
      await ensure();
      return client.terminal(id, handle, begin);
    },
  };
}

/** Nobody is there, or it ends. */
function isGone(problem: ClientProblem): boolean {
  return problem.code === 'client.unreachable' || problem.code === 'api.closing';
}

/** Nobody took the connection; anything later may have been carried out. */
function isUnseen(problem: ClientProblem): boolean {
  return problem.code === 'client.unreachable' && ['ENOENT', 'ECONNREFUSED'].includes((problem.cause as NodeJS.ErrnoException | undefined)?.code ?? '');
}

async function answers(client: Client): Promise<boolean> {
  try { return (await client.call('getReadiness', { timeoutMs: 5_000 })).ready; } catch { return false; }
}
