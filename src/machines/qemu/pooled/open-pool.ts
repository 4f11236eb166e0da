/**
 * The pool of this host's paused machines: which there are, taking one, and making and ending them in the background as the
 * planner says, one at a time. It is in this process' memory alone: what an earlier daemon left is ended.
 */
import { asStrataError, type Architecture } from '#base';
import type { PooledShapeView } from '../../engine.ts';
import { awaitExit, endVmm } from '../../vmm/end-vmm.ts';
import { eraseMachine } from '../erase-machine.ts';
import type { QemuContext } from '../open-qemu-engine.ts';
import type { Template } from '../templates/open-templates.ts';
import { makePooled, type PooledMachine } from './make-pooled.ts';
import { expectedMs, planPool, usualPoolLimits, type PoolLimits, type PoolPlan, type ShapeSeen } from './plan-pool.ts';
import { pooledKey, type PooledShape } from './pooled-shape.ts';
import { readHostMemory, type HostMemory } from './read-host-memory.ts';

export interface PoolSettings extends Partial<PoolLimits> {
  /** From the end of the last start until the pool is seen to. */
  readonly delayMs?: number;
  /** Stand-in of the host's memory. */
  readonly memory?: () => Promise<HostMemory>;
}

export interface Pool {
  /** A machine of this shape is started: says so, and gives a paused one away where there is one. Nobody else gets it. */
  take(shape: PooledShape): PooledMachine | undefined;
  /** One that was taken could not be used. */
  spoilt(shape: PooledShape): void;
  /** Nothing is made while a start is under way; returns what ends it. */
  startBegins(): () => void;
  list(): readonly PooledShapeView[];
  /** Ends all that is paused, and makes nothing any more. */
  close(): Promise<void>;
}

interface Shelf {
  readonly shape: PooledShape;
  /** The latest few. */
  readonly startedAt: number[];
  readonly ready: PooledMachine[];
  hits: number;
  misses: number;
  refills: number;
  refillMs: number | null;
  failures: number;
  failure: string;
  retryAt: number;
  size: number;
  why: string;
}

const defaultDelayMs = 2000;
const lookEveryMs = 10_000;
/** Pauses double from this after one could not be made. */
const firstRetryMs = 10_000;
const longestRetryMs = 10 * 60_000;
const maxShelves = 64;

export function openPool(context: QemuContext, settings: PoolSettings): Pool {
  const { clock, log } = context;
  const limits: PoolLimits = { ...usualPoolLimits, ...settings };
  const delayMs = settings.delayMs ?? defaultDelayMs;
  const memory = settings.memory ?? readHostMemory;
  const shelves = new Map<string, Shelf>();
  const end = new AbortController();
  let poke = new AbortController();
  let starts = 0;
  let quietFrom = 0;
  let pressedAt: number | undefined;

  function shelfOf(shape: PooledShape): Shelf {
    const key = pooledKey(shape);
    const there = shelves.get(key);
    if (there !== undefined) return there;
    const made: Shelf = { shape, startedAt: [], ready: [], hits: 0, misses: 0, refills: 0, refillMs: null, failures: 0, failure: '', retryAt: 0, size: 0, why: '' };
    shelves.set(key, made);
    const oldest = [...shelves].find(([other, shelf]) => other !== key && shelf.ready.length === 0);
    if (shelves.size > maxShelves && oldest !== undefined) shelves.delete(oldest[0]);
    return made;
  }

  async function templateOf(shelf: Shelf): Promise<Template | string> {
    if (shelf.shape.card && context.network?.handOverTap === undefined) return 'this host\'s network cannot give a card to another machine';
    const found = await context.templates?.find(shelf.shape.template, { use: false });
    return found === undefined ? 'there are no templates' : 'why' in found ? found.why : found.template;
  }

  async function plan(): Promise<{ readonly plan: PoolPlan; readonly template: (key: string) => Template | undefined }> {
    const now = clock.now();
    const templates = new Map<string, Template>();
    const shapes: ShapeSeen[] = [];
    for (const [key, shelf] of shelves) {
      const template = now - (shelf.startedAt.at(-1) ?? 0) < expectedMs ? await templateOf(shelf) : 'nobody started a machine like it of late';
      if (typeof template !== 'string') templates.set(key, template);
      const held = shelf.ready.map((one) => one.heldBytes);
      const expected = held.length > 0 ? Math.max(...held) : typeof template === 'string' ? 0 : template.record.usedBytes;
      shapes.push({ key, startedAt: shelf.startedAt, ready: shelf.ready, memberBytes: expected, obstacle: typeof template === 'string' ? template : '', retryAt: shelf.retryAt, failure: shelf.failure });
    }
    const made = planPool({ shapes, now, ...await memory(), pressedAt, startsUnderWay: starts > 0 || clock.monotonic() < quietFrom }, limits);
    if (made.pressed) pressedAt = now;
    for (const { key, size, why } of made.shapes) Object.assign(shelves.get(key) ?? {}, { size, why });
    return { plan: made, template: (key) => templates.get(key) };
  }

  /** Out of the pool first: nobody takes what is being ended. */
  async function remove(id: string, why: string): Promise<void> {
    for (const shelf of shelves.values()) {
      const at = shelf.ready.findIndex((one) => one.id === id);
      const [member] = at < 0 ? [] : shelf.ready.splice(at, 1);
      if (member === undefined) continue;
      member.watch.stop();
      member.monitor.close();
      member.sockets.close();
      await endVmm(member.record);
      await awaitExit(context, member.places, member.record);
      await eraseMachine(context, id);
      log.info({ pooled: id, why }, 'a pooled machine was ended');
    }
  }

  async function make(shelf: Shelf, template: Template): Promise<void> {
    try {
      const member = await makePooled(context, shelf.shape, template, end.signal);
      shelf.ready.push(member);
      shelf.refills += 1;
      shelf.refillMs = member.madeMs;
      shelf.failures = 0;
      void member.watch.promise.then(() => remove(member.id, 'its VMM ended')).then(wake, (thrown: unknown) => log.warn({ pooled: member.id, error: asStrataError(thrown, 'pool').message }, 'what is left of a pooled machine could not be removed'));
      log.debug({ pooled: member.id, madeMs: member.madeMs, heldBytes: member.heldBytes }, 'a pooled machine is ready');
    } catch (thrown) {
      if (end.signal.aborted) return;
      shelf.retryAt = clock.now() + Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(shelf.failures, 20));
      shelf.failures += 1;
      shelf.failure = asStrataError(thrown, 'pool').message;
      log.warn({ shape: pooledKey(shelf.shape), error: shelf.failure }, 'a pooled machine could not be made');
    }
  }

  /** One step; true where there may be another. */
  async function look(): Promise<boolean> {
    const { plan: made, template } = await plan();
    for (const { id, why } of made.end) await remove(id, why);
    const shelf = made.make === undefined ? undefined : shelves.get(made.make);
    const from = made.make === undefined ? undefined : template(made.make);
    if (shelf === undefined || from === undefined || end.signal.aborted) return made.end.length > 0;
    await make(shelf, from);
    return true;
  }

  const wake = (): void => poke.abort();
  /** While nothing is expected and nothing paused there is nothing to look at. */
  const isIdle = (): boolean => [...shelves.values()].every(({ ready, startedAt }) => ready.length === 0 && clock.now() - (startedAt.at(-1) ?? 0) >= expectedMs);

  async function keep(): Promise<void> {
    while (!end.signal.aborted) {
      poke = new AbortController();
      const more = await look().catch((thrown: unknown) => { log.warn({ error: asStrataError(thrown, 'pool').message }, 'the pool could not be seen to'); return false; });
      if (more) continue;
      const quietMs = quietFrom - clock.monotonic();
      const restMs = isIdle() ? undefined : starts === 0 && quietMs > 0 ? quietMs : lookEveryMs;
      await rest(AbortSignal.any([poke.signal, end.signal]), restMs);
    }
  }

  async function rest(until: AbortSignal, milliseconds: number | undefined): Promise<void> {
    if (until.aborted) return;
    if (milliseconds !== undefined) return clock.wait(milliseconds, until).catch(() => undefined);
    await new Promise<void>((resolve) => { until.addEventListener('abort', () => resolve(), { once: true }); });
  }

  const kept = keep();

  return {
    take(shape) {
      const shelf = shelfOf(shape);
      shelf.startedAt.push(clock.now());
      if (shelf.startedAt.length > limits.perShape) shelf.startedAt.shift();
      const member = end.signal.aborted ? undefined : shelf.ready.shift();
      if (member === undefined) shelf.misses += 1;
      else shelf.hits += 1;
      return member;
    },
    spoilt(shape) {
      const shelf = shelfOf(shape);
      shelf.hits -= 1;
      shelf.misses += 1;
    },
    startBegins() {
      starts += 1;
      return () => {
        starts -= 1;
        quietFrom = clock.monotonic() + delayMs;
        if (starts === 0) wake();
      };
    },
    list: () => [...shelves].map(([key, { shape, ready, ...counts }]) => viewOf(key, shape, ready, counts)),
    async close() {
      end.abort();
      await kept;
      for (const { ready } of shelves.values()) for (const { id } of [...ready]) await remove(id, 'the daemon ends');
    },
  };
}

function viewOf(key: string, shape: PooledShape, ready: readonly PooledMachine[], counts: Pick<Shelf, 'size' | 'hits' | 'misses' | 'refills' | 'refillMs' | 'why'>): PooledShapeView {
  const { architecture, accelerator, processors, memoryMiB }: { architecture: Architecture; accelerator: 'kvm' | 'tcg'; processors: number; memoryMiB: number } = shape.template;
  const { size, hits, misses, refills, refillMs, why } = counts;
  return { key, architecture, accelerator, processors, memoryMiB, scratchMiB: shape.scratchMiB, card: shape.card, size, ready: ready.length, heldBytes: ready.reduce((total, one) => total + one.heldBytes, 0), hits, misses, refills, refillMs, why: ready.length < size ? why : '' };
}
