/**
 * One connection to a QEMU monitor: greeting, capabilities, then numbered commands and events (QEMU manual, "QMP").
 * A line longer than 1 MiB, or one that is no JSON, ends the connection: what follows could not be trusted either.
 */
import { connect, type Socket } from 'node:net';
import { StrataError } from '#base';
import { parseQmpMessage, type QmpEvent } from './qmp-messages.ts';

export interface QmpConnection {
  readonly version: string;
  /** @throws StrataError `qmp.refused` (QEMU's own words), `qmp.timeout`, `qmp.gone` */
  execute(command: string, parameters?: Readonly<Record<string, unknown>>, options?: { readonly timeoutMs?: number }): Promise<unknown>;
  /** Events from now on, until the connection ends. At most 1000 wait unread; older ones are dropped. */
  events(signal?: AbortSignal): AsyncIterable<QmpEvent>;
  readonly closed: Promise<void>;
  readonly isOpen: boolean;
  close(): void;
}

const maxLineBytes = 1024 * 1024;
const maxQueuedEvents = 1000;

interface Waiting { readonly command: string; readonly resolve: (value: unknown) => void; readonly reject: (error: StrataError) => void; readonly timer: NodeJS.Timeout }
interface Listener { readonly queue: QmpEvent[]; wake: () => void }

/** Returns when the monitor takes commands. @throws StrataError `qmp.gone`, `qmp.timeout` */
export async function connectQmp(socketPath: string, options: { readonly timeoutMs?: number } = {}): Promise<QmpConnection> {
  const socket = connect({ path: socketPath });
  socket.unref();
  const state = new ConnectionState(socket);
  const limit = options.timeoutMs ?? 10_000;
  const timer = setTimeout(() => state.end(new StrataError(`the QEMU monitor did not greet within ${limit} ms`, { code: 'qmp.timeout', kind: 'timeout' })), limit);
  try {
    const version = await state.greeting;
    await state.execute('qmp_capabilities', {}, limit);
    return {
      version,
      execute: (command, parameters, one) => state.execute(command, parameters ?? {}, one?.timeoutMs ?? 10_000),
      events: (signal) => state.events(signal),
      closed: state.closed,
      get isOpen() { return state.isOpen; },
      close: () => state.end(gone('was closed')),
    };
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

class ConnectionState {
  readonly greeting: Promise<string>;
  readonly closed: Promise<void>;
  isOpen = true;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<Listener>();
  #parts: Buffer[] = [];
  #length = 0;
  #nextId = 1;
  #greet: { resolve: (version: string) => void; reject: (error: StrataError) => void };
  #markClosed: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    const greeting = Promise.withResolvers<string>();
    this.greeting = greeting.promise;
    this.greeting.catch(() => undefined); // whoever waits sees it
    this.#greet = greeting;
    this.closed = new Promise((resolve) => { this.#markClosed = resolve; });
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (error) => this.end(gone(`cannot be reached (${error.message})`, error)));
    socket.on('close', () => this.end(gone('has hung up')));
  }

  execute(command: string, parameters: Readonly<Record<string, unknown>>, timeoutMs: number): Promise<unknown> {
    if (!this.isOpen) return Promise.reject(gone('is not connected'));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new StrataError(`QEMU did not answer ${command} within ${timeoutMs} ms`, { code: 'qmp.timeout', kind: 'timeout' }));
      }, timeoutMs);
      this.#waiting.set(id, { command, resolve, reject, timer });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: parameters, id })}\n`);
    });
  }

  async *events(signal?: AbortSignal): AsyncGenerator<QmpEvent> {
    const listener: Listener = { queue: [], wake: () => undefined };
    this.#listeners.add(listener);
    const onAbort = (): void => listener.wake();
    signal?.addEventListener('abort', onAbort);
    try {
      while (signal?.aborted !== true) {
        const event = listener.queue.shift();
        if (event !== undefined) yield event;
        else if (!this.isOpen) return;
        else await new Promise<void>((resolve) => { listener.wake = resolve; });
      }
    } finally {
      this.#listeners.delete(listener);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  end(why: StrataError): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#socket.destroy();
    this.#parts = [];
    this.#greet.reject(why);
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(why);
    }
    this.#waiting.clear();
    for (const listener of this.#listeners) listener.wake();
    this.#markClosed();
  }

  #read(chunk: Buffer): void {
    let rest = chunk;
    for (let end = rest.indexOf(10); end >= 0 && this.isOpen; end = rest.indexOf(10)) {
      const line = this.#parts.length === 0 ? rest.subarray(0, end) : Buffer.concat([...this.#parts, rest.subarray(0, end)]);
      this.#parts = [];
      this.#length = 0;
      rest = rest.subarray(end + 1);
      if (line.length > maxLineBytes) return this.end(gone('sent a line of more than 1 MiB'));
      this.#take(line.toString('utf8'));
    }
    if (rest.length === 0 || !this.isOpen) return;
    this.#parts.push(rest);
    this.#length += rest.length;
    if (this.#length > maxLineBytes) this.end(gone('sent a line of more than 1 MiB'));
  }

  #take(line: string): void {
    if (line.trim() === '') return;
    let message;
    try {
      message = parseQmpMessage(line);
    } catch {
      return this.end(gone('sent what is no JSON'));
    }
    if (message.kind === 'greeting') this.#greet.resolve(message.version);
    else if (message.kind === 'event') this.#tell(message.event);
    else if (message.kind === 'return') this.#settle(message.id)?.resolve(message.value);
    else if (message.kind === 'error' && message.id !== undefined) {
      const waiting = this.#settle(message.id);
      waiting?.reject(new StrataError(`QEMU refuses ${waiting.command}: ${message.description}`, { code: 'qmp.refused', kind: 'refused', details: { class: message.class, command: waiting.command } }));
    }
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return undefined;
    clearTimeout(waiting.timer);
    this.#waiting.delete(id);
    return waiting;
  }

  #tell(event: QmpEvent): void {
    for (const listener of this.#listeners) {
      listener.queue.push(event);
      if (listener.queue.length > maxQueuedEvents) listener.queue.shift();
      listener.wake();
    }
  }
}

function gone(what: string, cause?: unknown): StrataError {
  return new StrataError(`the QEMU monitor ${what}`, { code: 'qmp.gone', kind: 'unavailable', ...(cause === undefined ? {} : { cause }) });
}
