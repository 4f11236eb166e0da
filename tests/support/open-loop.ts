/**
 * Requests at a fixed pace, whatever the answers do (open loop): half of them each over a new connection, half over
 * connections that are kept. A client that waits for answers would hide the very pauses that are looked for.
 */
import { Agent, get } from 'node:http';

export interface Load {
  readonly sent: number;
  readonly failures: readonly string[];
  /** Longest time to an answer. */
  readonly slowestMs: number;
  readonly bodies: ReadonlySet<string>;
  /** Stops sending and waits for what is under way. */
  stop(): Promise<void>;
}

export function openLoop(url: string, perSecond: number, limitMs = 15_000): Load {
  const kept = new Agent({ keepAlive: true, maxSockets: 64 });
  const failures: string[] = [];
  const bodies = new Set<string>();
  const open = new Set<Promise<void>>();
  const began = performance.now();
  let sent = 0;
  let slowestMs = 0;

  const ask = (): Promise<void> => new Promise((resolve) => {
    const started = performance.now();
    const at = `at ${Math.round(started - began)} ms`;
    const fail = (why: string) => { failures.push(`${at}: ${why}`); resolve(); };
    const request = get(url, { agent: sent % 2 === 0 ? kept : false }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.once('error', (error) => { fail(`answer broke off: ${error.message}`); });
      answer.once('end', () => {
        slowestMs = Math.max(slowestMs, performance.now() - started);
        if (answer.statusCode === 200) { bodies.add(Buffer.concat(chunks).toString().trim()); resolve(); } else fail(`status ${answer.statusCode}`);
      });
    });
    request.setTimeout(limitMs, () => { request.destroy(new Error(`no answer within ${limitMs} ms`)); });
    request.once('error', (error) => { fail(`${(error as NodeJS.ErrnoException).code ?? ''} ${error.message}${request.reusedSocket ? ' (kept connection)' : ''}`); });
  });
  const timer = setInterval(() => {
    // Late timers are made up for, so that the pace holds.
    const due = Math.floor((performance.now() - began) * perSecond / 1000);
    for (; sent < due; sent += 1) {
      const one = ask();
      open.add(one);
      void one.then(() => open.delete(one));
    }
  }, 5);
  return {
    get sent() { return sent; },
    failures, bodies,
    get slowestMs() { return slowestMs; },
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
      kept.destroy();
    },
  };
}
