/**
 * The agent of a machine in memory: answers every call of the guest protocol and keeps its containers while
 * hosts come and go, as a real guest does while the daemon is dead.
 */
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { protocolVersion, type AgentCalls, type AgentEvent, type AgentMethod, type GuestContainerSpec, type GuestContainerState } from '#guest-protocol';
import { fakeContainer, type FakeContainer, type FakeLogLine } from './fake-container.ts';
import { startFakeProgram, type FakeProgram } from './fake-exec.ts';
import { serveFakeLine, type FakeLine } from './fake-line.ts';

/** What a guest knows, as a snapshot keeps it; its programs are left out. */
export interface FakeMemory { readonly bootId: string; readonly files: ReadonlyMap<string, Buffer>; readonly running: readonly GuestContainerSpec[] }

export interface FakeGuest {
  readonly bootId: string;
  /** How often the host set the guest's identity, and with what; for tests. */
  readonly configured: readonly AgentCalls['configure']['params'][];
  readonly containers: ReadonlyMap<string, FakeContainer>;
  memory(): FakeMemory;
  /** Why containers were not started, in order. */
  readonly refusedStarts: readonly string[];
  /** Says something unasked, as a hostile guest may. */
  say(event: AgentEvent): void;
  /** Takes a new connection of the host. */
  connect(wire: Duplex): void;
  end(): void;
}

export interface FakeGuestHost {
  readonly architecture: string;
  disks(): readonly string[];
  /** A container that does not run is started. */
  starting(spec: GuestContainerSpec): void;
  /** Those among them that are being unplugged. */
  leaving(): ReadonlySet<string>;
  /** The guest switches itself off. */
  powerOff(): void;
}

type Handlers = { readonly [M in AgentMethod]: (params: AgentCalls[M]['params'], line: FakeLine) => AgentCalls[M]['result'] | Promise<AgentCalls[M]['result']> };

/** @param memory of another guest, from which this one goes on */
export function fakeGuest(host: FakeGuestHost, memory?: FakeMemory): FakeGuest {
  const bootId = memory?.bootId ?? randomUUID();
  const bootedAt = performance.now();
  const configured: AgentCalls['configure']['params'][] = [];
  const containers = new Map<string, FakeContainer>();
  const refusedStarts: string[] = [];
  const files = new Map<string, Buffer>(memory?.files);
  const programs = new Map<number, FakeProgram>();
  let line: FakeLine | undefined;
  let wire: Duplex | undefined;
  let lastPid = 100;
  const nextPid = () => { lastPid += 1; return lastPid; };
  const changed = (state: GuestContainerState) => line?.send({ event: 'container', state });
  const uptimeMs = () => Math.round(performance.now() - bootedAt);
  const find = (id: string): FakeContainer => {
    const container = containers.get(id);
    if (container === undefined) throw new Error(`there is no container ${id}`);
    return container;
  };

  for (const spec of memory?.running ?? []) {
    const container = fakeContainer(spec, nextPid, changed);
    containers.set(spec.id, container);
    container.start();
  }

  /** One that is being unplugged is still seen, and gone the moment it is mounted. */
  const demandDisks = (serials: readonly string[]): void => {
    const missing = serials.filter((serial) => !host.disks().includes(serial) || host.leaving().has(serial));
    if (missing.length === 0) return;
    refusedStarts.push(`disks not seen: ${missing.join(', ')}`);
    throw new Error(refusedStarts.at(-1));
  };

  const handlers: Handlers = {
    hello: ({ nonce }) => ({ nonce, protocol: protocolVersion, agentVersion: '0.0.0-fake', bootId, kernel: '6.12.0-fake', architecture: host.architecture, uptimeMs: uptimeMs() }),
    configure: (params) => { configured.push(params); return {}; },
    ping: () => ({ uptimeMs: uptimeMs() }),
    containerStart({ spec }) {
      demandDisks([spec.imageSerial, ...spec.mounts.flatMap((mount) => (mount.kind === 'volume' ? [mount.serial] : []))]);
      let container = containers.get(spec.id);
      if (container === undefined || container.spec.digest !== spec.digest) {
        container?.remove();
        container = fakeContainer(spec, nextPid, changed);
        containers.set(spec.id, container);
      }
      if (!container.runs) host.starting(spec);
      container.start();
      return container.state();
    },
    containerFreeze({ id }) { find(id); return {}; },
    containerGoOn({ from, spec, command }) {
      const there = containers.get(spec.id);
      if (there?.runs === true) return there.state();
      find(from).remove();
      containers.delete(from);
      if (command?.[0] === 'false') throw new Error('the command says no');
      const container = fakeContainer(spec, nextPid, changed, true);
      containers.set(spec.id, container);
      container.start();
      return container.state();
    },
    containerStop({ id }) { const container = find(id); container.stop(); return container.state(); },
    containerKill({ id, signal }) { find(id).kill(signal); return {}; },
    containerRemove({ id }) { containers.get(id)?.remove(); containers.delete(id); return {}; },
    containerList: () => ({ containers: [...containers.values()].map((container) => container.state()) }),
    containerStats({ id }) { find(id); return { cpuNanos: 1e9, userNanos: 6e8, systemNanos: 4e8, calls: 1000, memoryBytes: 32 * 1024 ** 2, memoryPeakBytes: 48 * 1024 ** 2, pids: 3, oomKills: 0 }; },
    containerLogs({ id, stream, follow, tail }, at) {
      const container = find(id);
      const kept = tail === undefined ? container.log : tail === 0 ? [] : container.log.slice(-tail);
      streamLog(at, stream, kept, follow ? (listener) => container.follow(listener) : undefined);
      return {};
    },
    exec(request, at) {
      if (request.container !== '' && !find(request.container).runs) throw new Error(`container ${request.container} does not run`);
      programs.set(request.stream, startFakeProgram(at, request, (code) => { programs.delete(request.stream); at.send({ event: 'exit', stream: request.stream, code }); }));
      return { pid: nextPid() };
    },
    execResize: () => ({}),
    execSignal({ stream, signal }) { programs.get(stream)?.signal(signal); return {}; },
    fileRead({ container, path, offset, length }) {
      const file = files.get(`${container}:${path}`);
      if (file === undefined) throw new Error(`${path}: no such file`);
      return { content: file.subarray(offset, offset + length).toString('base64'), eof: offset + length >= file.length };
    },
    fileWrite({ container, path, content, append }) {
      const before = append ? files.get(`${container}:${path}`) ?? Buffer.alloc(0) : Buffer.alloc(0);
      files.set(`${container}:${path}`, Buffer.concat([before, Buffer.from(content, 'base64')]));
      return {};
    },
    stats: () => ({ memoryTotalBytes: 1024 ** 3, memoryAvailableBytes: 700 * 1024 ** 2, load1: 0.1, uptimeMs: uptimeMs(), disks: host.disks() }),
    awaitDisks({ serials }) { demandDisks(serials); return {}; },
    releaseDisk: () => ({}),
    freezeDisk: () => ({}),
    powerOff() {
      for (const container of containers.values()) container.stop();
      setTimeout(() => host.powerOff(), 5); // the answer leaves first
      return {};
    },
  };

  async function answer(message: unknown, at: FakeLine): Promise<void> {
    const request = message as { readonly id: number; readonly method: AgentMethod; readonly params: never };
    try {
      const handler = handlers[request.method] as ((params: never, line: FakeLine) => unknown) | undefined;
      if (handler === undefined) throw new Error(`unknown method ${String(request.method)}`);
      at.send({ id: request.id, result: await handler(request.params, at) });
    } catch (thrown) {
      const text = (thrown as Error).message;
      at.send({ id: request.id, error: { code: text.startsWith('2 ') ? 'commandNotFound' : text.startsWith('13 ') ? 'notExecutable' : 'failed', message: text } });
    }
  }

  return {
    bootId, configured, containers, refusedStarts,
    memory: () => ({ bootId, files: new Map(files), running: [...containers.values()].filter((one) => one.runs).map((one) => one.spec) }),
    say: (event) => line?.send(event),
    connect(next) {
      wire?.destroy();
      wire = next;
      const own: FakeLine = serveFakeLine(next, (message) => { void answer(message, own); });
      line = own;
    },
    end() {
      for (const container of containers.values()) container.remove();
      wire?.destroy();
      line = undefined;
    },
  };
}

function streamLog(line: FakeLine, stream: number, kept: readonly FakeLogLine[], follow: ((listener: (one: FakeLogLine) => void) => () => void) | undefined): void {
  const waiting = kept.map(encode);
  const pump = (): void => {
    for (let room = line.room(stream); room > 0 && waiting.length > 0; room = line.room(stream)) {
      const head = waiting.shift() as Buffer;
      line.sendData(stream, head.subarray(0, room));
      if (head.length > room) waiting.unshift(head.subarray(room));
    }
    if (waiting.length > 0 || follow !== undefined) return;
    line.sendEnd(stream);
    line.removeStream(stream);
    line.send({ event: 'end', stream, error: '' });
  };
  const stop = follow?.((one) => { waiting.push(encode(one)); pump(); });
  line.addStream(stream, { drain: pump, end() { stop?.(); waiting.length = 0; line.removeStream(stream); }, gone() { stop?.(); waiting.length = 0; } });
  setImmediate(pump);
}

function encode(line: FakeLogLine): Buffer {
  return Buffer.from(`${JSON.stringify(line)}\n`);
}
