/** What every verb is given: streams, environment, and a client whose daemon runs. */
import { ensureDaemon, openClient, placesFromEnvironment, type Client, type Places } from '#client';
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
      opened = client;
      return client;
    },
    revive: () => start(places, say, interrupted),
    close: () => opened?.close(),
  };
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
