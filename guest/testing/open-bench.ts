/** A guest with an image plugged in and the few verbs most tests want. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { GuestContainerSpec, GuestContainerState, GuestExec } from '#guest-protocol';
import { bootGuest, type Guest, type GuestOptions } from './boot-guest.ts';
import { makeExt4, makeImage } from './images.ts';
import type { TestStream } from './line-client.ts';
import { specOf } from './specs.ts';

export interface Ran { readonly code: number; readonly out: string; readonly err: string; readonly ms: number }
export interface LogLine { readonly t: number; readonly s: number; readonly l: string }

export interface Bench {
  readonly guest: Guest;
  /** For files of the test; gone at the end. */
  readonly folder: string;
  start(fields: Partial<GuestContainerSpec> & { readonly argv: readonly string[] }): Promise<GuestContainerState>;
  /** Starts a container and waits until it has ended. */
  runToEnd(fields: Partial<GuestContainerSpec> & { readonly argv: readonly string[] }): Promise<{ readonly state: GuestContainerState; readonly out: string; readonly err: string }>;
  state(id: string): Promise<GuestContainerState>;
  awaitState(id: string, holds: (state: GuestContainerState) => boolean, limitMs?: number): Promise<GuestContainerState>;
  /** Opens an exec without waiting for its end. */
  open(container: string, argv: readonly string[], fields?: Partial<GuestExec>): Promise<TestStream>;
  exec(container: string, argv: readonly string[], fields?: Partial<GuestExec>): Promise<Ran>;
  logs(id: string, wish?: { readonly tail?: number; readonly sinceMs?: number }): Promise<LogLine[]>;
  close(): Promise<void>;
}

export async function openBench(options: GuestOptions & { readonly scratch?: boolean } = {}): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-'));
  try {
    const image = await makeImage(folder, options.architecture);
    const scratch = options.scratch === true ? [{ serial: 'scratch', path: await makeExt4(join(folder, 'scratch.raw')) }] : [];
    const guest = await bootGuest({ ...options, disks: [{ serial: 'img', path: image, readOnly: true }, ...scratch, ...(options.disks ?? [])] });
    await guest.line.call('configure', { hostname: 'bench', timeMs: Date.now(), entropy: Buffer.alloc(32, 3).toString('base64'), machineId: '0'.repeat(32) });
    await guest.line.call('awaitDisks', { serials: ['img'], timeoutMs: 20_000 });
    return benchOf(guest, folder);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

function benchOf(guest: Guest, folder: string): Bench {
  const bench: Bench = {
    guest, folder,
    start: async (fields) => (await guest.line.call('containerStart', { spec: specOf(fields) })),
    runToEnd: async (fields) => {
      const { id } = await bench.start(fields);
      const state = await bench.awaitState(id, (one) => one.phase === 'exited');
      const lines = await bench.logs(id);
      const text = (stream: number) => lines.filter((line) => line.s === stream).map((line) => `${line.l}\n`).join('');
      return { state, out: text(1), err: text(2) };
    },
    state: async (id) => {
      const { containers } = await guest.line.call('containerList', {});
      const found = containers.find((one) => one.id === id);
      if (found === undefined) throw new Error(`no container ${id}`);
      return found;
    },
    awaitState: async (id, holds, limitMs = 30_000) => {
      const { line } = guest;
      const from = line.events.length; // before it is asked: what is told right behind the answer counts too
      const now = await bench.state(id);
      if (holds(now)) return now;
      const event = await line.event((one) => one.event === 'container' && one.state.id === id && holds(one.state) && line.events.indexOf(one) >= from, limitMs);
      return (event as Extract<typeof event, { event: 'container' }>).state;
    },
    open: async (container, argv, fields = {}) => {
      const stream = guest.line.openStream();
      await guest.line.call('exec', { container, stream: stream.id, argv, env: [], cwd: '', user: '', tty: null, stdin: false, ...fields });
      return stream;
    },
    exec: async (container, argv, fields = {}) => {
      const started = performance.now();
      const stream = await bench.open(container, argv, fields);
      const code = await stream.done;
      return { code, out: stream.outText(), err: stream.errText(), ms: Math.round(performance.now() - started) };
    },
    logs: async (id, wish = {}) => {
      const stream = guest.line.openStream();
      await guest.line.call('containerLogs', { id, stream: stream.id, follow: false, ...wish });
      await stream.done;
      return linesOf(stream.outText());
    },
    close: async () => {
      await guest.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return bench;
}

export function linesOf(text: string): LogLine[] {
  return text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as LogLine);
}
