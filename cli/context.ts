/** What every verb is given: streams, environment, and a client whose daemon runs. */
import { ClientProblem, ensureDaemon, openClient, placesFromEnvironment, type Client, type Places } from '#client';
import { programArgv } from './program-argv.ts';

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

export function openContext(interrupted: AbortSignal): Context {
  const places = placesFromEnvironment(process.env);
  let opened: Client | undefined;
  const say = (line: string) => { process.stderr.write(`${line}\n`); };
  return {
    env: process.env, cwd: process.cwd(), places, out: process.stdout, err: process.stderr, interrupted, say,
    client: async (options = {}) => {
      if (opened !== undefined) return opened;
      const client = openClient(places.socketPath);
      if (options.start !== false && !(await answers(client))) await start(places, say, interrupted);
      opened = options.start === false ? client : reviving(client, () => start(places, say, interrupted));
      return opened;
    },
    revive: () => start(places, say, interrupted),
    close: () => opened?.close(),
  };
}

/** The daemon may end between two calls: what it never saw is asked of the next one. */
function reviving(client: Client, revive: () => Promise<void>): Client {
  return {
    ...client,
    call: async (id, options) => {
      try {
        return await client.call(id, options);
      } catch (error) {
        if (!(error instanceof ClientProblem) || !isUnseen(error)) throw error;
        await revive();
        return client.call(id, options);
      }
    },
  };
}

/** Nobody took the connection; anything later may have been carried out. */
function isUnseen(problem: ClientProblem): boolean {
  return problem.code === 'client.unreachable' && ['ENOENT', 'ECONNREFUSED'].includes((problem.cause as NodeJS.ErrnoException | undefined)?.code ?? '');
}

/** One cheap request: a daemon that answers it is there and ready. */
async function answers(client: Client): Promise<boolean> {
  try { return (await client.call('getReadiness', { timeoutMs: 5_000 })).ready; } catch { return false; }
}

async function start(places: Places, say: (line: string) => void, signal: AbortSignal): Promise<void> {
  await ensureDaemon({
    places, signal, daemonArgv: programArgv('strata-daemon.ts'), progress: (message) => say(`strata: ${message}`),
    prepare: async () => { const { prepareHost } = await import('./prepare-host.ts'); await prepareHost(signal); },
  });
}
