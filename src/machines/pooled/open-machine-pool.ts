/**
 * The pool of this host's paused machines, of all engines together: which there are, taking one, and making and ending them
 * in the background as the planner says, one at a time and within one share of the memory. It is in this process' memory alone: what an earlier daemon left is ended.
 */
import { asStrataError, type Clock, type Log } from '#base';
import type { PooledShapeView } from '../engine.ts';
import { expectedMs, planPool, usualPoolLimits, type PoolLimits, type PoolPlan, type ShapeSeen } from './plan-pool.ts';
import { newShelf, shelfView, type PooledMember, type PoolSource, type Prospect, type Shelf } from './pool-shelf.ts';
import { readHostMemory, type HostMemory } from './read-host-memory.ts';

export interface PoolSettings extends Partial<PoolLimits> {
  readonly clock: Clock;
  readonly log: Log;
  /** From the end of the last start until the pool is seen to. */
  readonly delayMs?: number;
  /** Stand-in of the host's memory. */
  readonly memory?: () => Promise<HostMemory>;
}

export interface MachinePool {
  /** An engine's part; it keeps paused machines until the part is closed. */
  join<Shape, Member extends PooledMember>(source: PoolSource<Shape, Member>): MachinePoolPart<Shape, Member>;
}

export interface MachinePoolPart<Shape, Member extends PooledMember> {
  /** A machine of this shape is started: says so, and gives a paused one away where there is one. Nobody else gets it. */
  take(shape: Shape): Member | undefined;
  /** One that was taken could not be used. */
  spoilt(shape: Shape): void;
  /** Nothing is made while a start is under way, of whatever engine; returns what ends it. */
  startBegins(): () => void;
  list(): readonly PooledShapeView[];
  /** Ends all of it that is paused, and makes nothing of it any more. */
  close(): Promise<void>;
}

/** What starts in a machine wants the processors for a while longer than the machine itself. */
const defaultDelayMs = 5000;
const lookEveryMs = 10_000;
/** Pauses double from this after one could not be made. */
const firstRetryMs = 10_000;
const longestRetryMs = 10 * 60_000;
const maxShelves = 64;

export function openMachinePool(settings: PoolSettings): MachinePool {
  const { clock, log } = settings;
  const limits: PoolLimits = { ...usualPoolLimits, ...settings };
  const delayMs = settings.delayMs ?? defaultDelayMs;
  const memory = settings.memory ?? readHostMemory;
  /** By engine and shape. */
  const shelves = new Map<string, Shelf>();
  let poke = new AbortController();
  let starts = 0;
  let quietFrom = 0;
  let pressedAt: number | undefined;
  /** Of the loop, which runs while an engine has a part. */
  let end = new AbortController();
  let kept: Promise<void> | undefined;
  let parts = 0;
  /** What is being made or ended, by shelf. */
  const work = new Map<Promise<void>, Shelf>();

  async function plan(): Promise<{ readonly plan: PoolPlan; readonly prospects: ReadonlyMap<string, Prospect<PooledMember>> }> {
    const now = clock.now();
    const prospects = new Map<string, Prospect<PooledMember>>();
    const shapes: ShapeSeen[] = [];
    for (const [key, shelf] of shelves) {
      const prospect = now - (shelf.startedAt.at(-1) ?? 0) < expectedMs ? await shelf.prospect() : { why: 'nobody started a machine like it of late' };
      prospects.set(key, prospect);
      const held = shelf.ready.map((one) => one.heldBytes);
      const memberBytes = held.length > 0 ? Math.max(...held) : 'why' in prospect ? 0 : prospect.expectedBytes;
      shapes.push({ key, startedAt: shelf.startedAt, ready: shelf.ready, memberBytes, obstacle: 'why' in prospect ? prospect.why : '', retryAt: shelf.retryAt, failure: shelf.failure });
    }
    const made = planPool({ shapes, now, ...await memory(), pressedAt, startsUnderWay: starts > 0 || clock.monotonic() < quietFrom }, limits);
    if (made.pressed) pressedAt = now;
    for (const { key, size, why } of made.shapes) Object.assign(shelves.get(key) ?? {}, { size, why });
    return { plan: made, prospects };
  }

  /** Whoever closes an engine's part waits for it. */
  async function onShelf(shelf: Shelf, doing: Promise<void>): Promise<void> {
    work.set(doing, shelf);
    await doing.finally(() => work.delete(doing));
  }

  /** Out of the pool first: nobody takes what is being ended. */
  async function remove(shelf: Shelf, id: string, why: string): Promise<void> {
    const at = shelf.ready.findIndex((one) => one.id === id);
    const [member] = at < 0 ? [] : shelf.ready.splice(at, 1);
    if (member === undefined) return;
    member.watch.stop();
    await onShelf(shelf, shelf.end(member));
    log.info({ pooled: id, why }, 'a pooled machine was ended');
  }

  async function make(shelf: Shelf, prospect: Exclude<Prospect<PooledMember>, { readonly why: string }>): Promise<void> {
    try {
      const member = await prospect.make(shelf.closed);
      shelf.ready.push(member);
      shelf.refills += 1;
      shelf.refillMs = member.madeMs;
      shelf.failures = 0;
      void member.watch.promise.then(() => remove(shelf, member.id, 'its VMM ended')).then(wake, (thrown: unknown) => log.warn({ pooled: member.id, error: asStrataError(thrown, 'pool').message }, 'what is left of a pooled machine could not be removed'));
      log.debug({ pooled: member.id, madeMs: member.madeMs, heldBytes: member.heldBytes }, 'a pooled machine is ready');
    } catch (thrown) {
      if (shelf.closed.aborted) return;
      shelf.retryAt = clock.now() + Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(shelf.failures, 20));
      shelf.failures += 1;
      shelf.failure = asStrataError(thrown, 'pool').message;
      log.warn({ engine: shelf.engine, shape: shelf.facts.key, error: shelf.failure }, 'a pooled machine could not be made');
    }
  }

  /** One step; true where there may be another. */
  async function look(): Promise<boolean> {
    const { plan: made, prospects } = await plan();
    for (const { id, why } of made.end) for (const shelf of shelves.values()) await remove(shelf, id, why);
    const shelf = made.make === undefined ? undefined : shelves.get(made.make);
    const prospect = made.make === undefined ? undefined : prospects.get(made.make);
    if (shelf === undefined || prospect === undefined || 'why' in prospect || shelf.closed.aborted) return made.end.length > 0;
    await onShelf(shelf, make(shelf, prospect));
    return true;
  }

  const wake = (): void => poke.abort();
  /** While nothing is expected and nothing paused there is nothing to look at. */
  const isIdle = (): boolean => [...shelves.values()].every(({ ready, startedAt }) => ready.length === 0 && clock.now() - (startedAt.at(-1) ?? 0) >= expectedMs);

  async function keep(until: AbortSignal): Promise<void> {
    while (!until.aborted) {
      poke = new AbortController();
      const more = await look().catch((thrown: unknown) => { log.warn({ error: asStrataError(thrown, 'pool').message }, 'the pool could not be seen to'); return false; });
      if (more) continue;
      const quietMs = quietFrom - clock.monotonic();
      const restMs = isIdle() ? undefined : starts === 0 && quietMs > 0 ? quietMs : lookEveryMs;
      await rest(AbortSignal.any([poke.signal, until]), restMs);
    }
  }

  async function rest(until: AbortSignal, milliseconds: number | undefined): Promise<void> {
    if (until.aborted) return;
    if (milliseconds !== undefined) return clock.wait(milliseconds, until).catch(() => undefined);
    await new Promise<void>((resolve) => { until.addEventListener('abort', () => resolve(), { once: true }); });
  }

  function startBegins(): () => void {
    starts += 1;
    return () => {
      starts -= 1;
      quietFrom = clock.monotonic() + delayMs;
      if (starts === 0) wake();
    };
  }

  function shelfOf<Shape, Member extends PooledMember>(source: PoolSource<Shape, Member>, shape: Shape, closed: AbortSignal): Shelf<Member> {
    const key = `${source.engine}-${source.factsOf(shape).key}`;
    const there = shelves.get(key);
    if (there !== undefined) return there as Shelf<Member>; // under its engine's name stands nobody else's
    const made = newShelf(source, shape, closed);
    if (closed.aborted) return made;
    const oldest = [...shelves].find(([, shelf]) => shelf.ready.length === 0);
    if (shelves.size >= maxShelves && oldest !== undefined) shelves.delete(oldest[0]);
    shelves.set(key, made);
    return made;
  }

  function join<Shape, Member extends PooledMember>(source: PoolSource<Shape, Member>): MachinePoolPart<Shape, Member> {
    const closing = new AbortController();
    const own = (): readonly Shelf[] => [...shelves.values()].filter((shelf) => shelf.closed === closing.signal);
    parts += 1;
    kept ??= keep(end.signal);

    async function leave(): Promise<void> {
      parts -= 1;
      if (parts > 0) return;
      end.abort();
      await kept;
      [end, kept] = [new AbortController(), undefined];
    }

    return {
      take(shape) {
        const shelf = shelfOf(source, shape, closing.signal);
        shelf.startedAt.push(clock.now());
        if (shelf.startedAt.length > limits.perShape) shelf.startedAt.shift();
        const member = closing.signal.aborted ? undefined : shelf.ready.shift();
        if (member === undefined) shelf.misses += 1;
        else shelf.hits += 1;
        return member;
      },
      spoilt(shape) {
        const shelf = shelfOf(source, shape, closing.signal);
        shelf.hits -= 1;
        shelf.misses += 1;
      },
      startBegins,
      list: () => own().map(shelfView),
      async close() {
        if (closing.signal.aborted) return;
        closing.abort();
        const mine = own();
        await Promise.allSettled([...work].flatMap(([doing, shelf]) => (mine.includes(shelf) ? [doing] : []))); // who does it tells of it
        for (const shelf of mine) for (const { id } of [...shelf.ready]) await remove(shelf, id, 'the daemon ends');
        for (const [key, shelf] of shelves) if (mine.includes(shelf)) shelves.delete(key);
        await leave();
      },
    };
  }

  return { join };
}
