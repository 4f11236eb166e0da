/** The agent's side of each call of the protocol (../protocol/messages.ts). Thrown errors become refusals; nothing ends the agent. */
import * as sys from 'sys';
import type { AgentCalls, AgentMethod, GuestContainerState } from '../protocol/messages.ts';
import { protocolVersion } from '../protocol/messages.ts';
import { Container } from './containers.ts';
import { unmountBundle } from './bundle.ts';
import { linkDisks } from './disk-links.ts';
import { awaitDisks, disksBySerial, freezeDisk, mountScratch, releaseDisk, unmountDisks } from './disks.ts';
import { resizeExec, signalExec, startExec } from './exec.ts';
import { FileError, overwriteText, readPart, readText, writePart } from './files.ts';
import type { Line } from './line.ts';
import { nameCard } from './network.ts';
import { streamLog } from './logs.ts';
import { after, pause } from './loop.ts';
import { signalNumber } from './signals.ts';
import { fromBase64, toBase64 } from './text.ts';

export const agentVersion = '0.1.0';
const maxFileBytes = 1024 * 1024;
/** After the grace everything is killed; gone within this. */
const killMs = 2000;
const answerLeavesMs = 20;

type Handlers = { readonly [M in AgentMethod]: (params: AgentCalls[M]['params']) => AgentCalls[M]['result'] | Promise<AgentCalls[M]['result']> };

/** @param ready resolves once drivers, cgroups and network are there; calls that need them wait. */
export function callHandlers(line: Line, ready: Promise<void>): Handlers {
  const containers = new Map<string, Container>();
  const busy = new Map<string, Promise<unknown>>();
  const changed = (state: GuestContainerState): void => line.send({ event: 'container', state });

  /** One change of a container at a time. */
  function serially<T>(id: string, work: () => Promise<T>): Promise<T> {
    const next = (busy.get(id) ?? Promise.resolve()).then(work, work);
    busy.set(id, next.then(() => undefined, () => undefined));
    return next;
  }

  function find(id: string): Container {
    const container = containers.get(id);
    if (container === undefined) throw new FileError('noContainer', `there is no container ${id}`);
    return container;
  }

  /** The root whose paths are meant: the guest's, or a running container's. */
  function rootOf(container: string): string {
    return container === '' ? '/' : `/proc/${find(container).inside().pid}/root`;
  }

  /** Starts that were asked for and whose containers are not known yet. */
  const announced = new Map<string, Promise<void>>();
  function announce(id: string): () => void {
    let settle: () => void = () => undefined;
    const promise = new Promise<void>((resolve) => { settle = resolve; });
    announced.set(id, promise);
    return () => {
      settle();
      if (announced.get(id) === promise) announced.delete(id);
    };
  }

  let scratch: Promise<void> | undefined;
  /** Once; a failure is tried again with the next container. */
  function ensureScratch(): Promise<void> {
    scratch ??= mountScratch().catch((error: unknown) => {
      scratch = undefined;
      throw error;
    });
    return scratch;
  }

  return {
    hello: ({ nonce }) => ({ nonce, protocol: protocolVersion, agentVersion, bootId: bootId(), kernel: (readText('/proc/sys/kernel/osrelease') ?? '').trim(), architecture: architecture(), uptimeMs: Math.round(sys.monotonic()) }),
    configure: ({ hostname, timeMs, entropy, machineId, mac }) => {
      sys.addEntropy(fromBase64(entropy).buffer as ArrayBuffer);
      sys.setTime(timeMs);
      sys.setHostname(hostname);
      overwriteText('/etc/machine-id', `${machineId}\n`);
      if (mac !== undefined) nameCard(mac);
      return {};
    },
    ping: () => ({ uptimeMs: Math.round(sys.monotonic()) }),
    containerStart: async ({ spec }) => {
      const known = announce(spec.id);
      try {
        await ready;
        await ensureScratch();
        return await serially(spec.id, async () => {
          const before = containers.get(spec.id);
          if (before !== undefined && before.spec.digest === spec.digest && before.isRunning) return before.state();
          if (before !== undefined && before.spec.digest !== spec.digest) await before.remove();
          const container = before?.spec.digest === spec.digest ? before : new Container(spec, changed);
          containers.set(spec.id, container);
          known();
          await container.start();
          return container.state();
        });
      } finally {
        known();
      }
    },
    containerFreeze: async ({ id, limitMs }) => {
      if (limitMs > 0) await find(id).freeze(limitMs);
      else find(id).thaw();
      return {};
    },
    containerGoOn: ({ from, spec, command, limitMs }) => serially(spec.id, () => serially(from, async () => {
      const there = containers.get(spec.id);
      if (there !== undefined && there.spec.digest === spec.digest && there.isRunning) return there.state();
      const container = find(from);
      containers.delete(from);
      containers.set(spec.id, container);
      try {
        await container.goOnAs(spec, command, limitMs);
      } catch (error) {
        await container.drop();
        containers.delete(spec.id);
        throw new FileError('cannotGoOn', (error as Error).message);
      }
      return container.state();
    })),
    containerStop: async ({ id, signal, graceMs }) => {
      await announced.get(id); // a start that came just before is not known yet
      const container = find(id);
      return container.stop(signal, graceMs ?? container.spec.stopGraceMs).then(() => container.state());
    },
    containerKill: ({ id, signal }) => { find(id).kill(signal); return {}; },
    containerRemove: ({ id }) => serially(id, async () => {
      await containers.get(id)?.remove();
      containers.delete(id);
      return {};
    }),
    containerList: () => ({ containers: [...containers.values()].map((container) => container.state()) }),
    containerStats: ({ id }) => find(id).stats(),
    containerLogs: ({ id, stream, follow, tail, sinceMs }) => {
      const container = find(id);
      line.reserveStream(stream);
      streamLog(line, stream, container.log, { follow, ...(tail === undefined ? {} : { tail }), ...(sinceMs === undefined ? {} : { sinceMs }) }, () => line.send({ event: 'end', stream, error: '' }));
      return {};
    },
    exec: async (request) => {
      line.reserveStream(request.stream); // before anything is awaited: its first bytes may follow at once
      try {
        await ready;
        if (request.container !== '') await find(request.container).thawed();
        else linkDisks(); // the program may look for them
        const inside = request.container === '' ? undefined : find(request.container).inside();
        return { pid: await startExec(line, request, inside, (stream, code) => line.send({ event: 'exit', stream, code })) };
      } catch (error) {
        line.removeStream(request.stream);
        throw error;
      }
    },
    execResize: ({ stream, rows, columns }) => { resizeExec(stream, rows, columns); return {}; },
    execSignal: ({ stream, signal }) => { signalExec(stream, signalNumber(signal)); return {}; },
    fileRead: ({ container, path, offset, length }) => {
      const { bytes, eof } = readPart(rootOf(container), path, offset, Math.min(length, maxFileBytes));
      return { content: toBase64(bytes), eof };
    },
    fileWrite: ({ container, path, content, mode, append }) => {
      writePart(rootOf(container), path, fromBase64(content), mode, append);
      return {};
    },
    stats: () => {
      const memory = readText('/proc/meminfo') ?? '';
      const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(memory)?.[1] ?? 0) * 1024;
      return { memoryTotalBytes: kilobytes('MemTotal'), memoryAvailableBytes: kilobytes('MemAvailable'), load1: Number((readText('/proc/loadavg') ?? '0').split(' ')[0]), uptimeMs: Math.round(sys.monotonic()), disks: [...disksBySerial().keys()] };
    },
    awaitDisks: async ({ serials, timeoutMs }) => {
      await ready;
      await awaitDisks(serials, timeoutMs);
      linkDisks(); // the kernel's word of one that has just come may still be unread
      return {};
    },
    releaseDisk: async ({ serial }) => {
      // Each container has a mount of its own in a namespace of its own, which the kernel does not count here.
      const user = [...containers.values()].find((container) => container.uses(serial));
      if (user !== undefined) throw new FileError('diskBusy', `disk ${serial} is in use by container ${user.spec.id}`);
      await releaseDisk(serial);
      return {};
    },
    freezeDisk: ({ serial, frozen }) => { freezeDisk(serial, frozen); return {}; },
    powerOff: async ({ graceMs }) => {
      const stops = [...containers.values()].map((container) => container.stop(undefined, Math.min(graceMs, container.spec.stopGraceMs)));
      await Promise.race([Promise.allSettled(stops), pause(graceMs + killMs)]);
      for (const container of containers.values()) unmountBundle(container.placed);
      unmountDisks();
      after(answerLeavesMs, () => sys.power(0));
      return {};
    },
  };
}

function bootId(): string {
  return (readText('/proc/sys/kernel/random/boot_id') ?? '').trim();
}

function architecture(): string {
  return sys.hardware() === 'aarch64' ? 'aarch64' : 'x86_64';
}
