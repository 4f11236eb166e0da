/**
 * The life of one simulated daemon: everything it reaches the world by goes through here, so that it can be cut off
 * between any two effects as SIGKILL would. After its end nothing it still tries reaches the world.
 */
import { StrataError } from '#base';
import type { Engine, RunningMachine } from '#machines';
import type { Store } from '#store';

/** Called before and after each effect (`store.transact.before`) and at each crash point; it may throw or end the daemon's life. */
export type AtPoint = (name: string, life: DaemonLife) => void;

export interface DaemonLife {
  readonly ended: boolean;
  end(): void;
  /** Settles when the life has ended. */
  readonly death: Promise<void>;
  /** @throws StrataError where the daemon is dead, or `atPoint` says so */
  pass(name: string): void;
  /** The same thing for a daemon that may die: each function of it is an effect with a place before and after it. */
  mortal<T extends object>(name: string, thing: T): T;
}

const deadDaemon = () => new StrataError('the simulated daemon is dead', { code: 'store.closed', kind: 'unavailable' });

export function daemonLife(atPoint: AtPoint): DaemonLife {
  let ended = false;
  const { promise: death, resolve } = Promise.withResolvers<void>();
  const check = (): void => { if (ended) throw deadDaemon(); };
  const life: DaemonLife = {
    get ended() { return ended; },
    death,
    end() { ended = true; resolve(); },
    pass(name) {
      check();
      atPoint(name, life);
      check();
    },
    mortal: (name, thing) => new Proxy(thing, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== 'function' || typeof key !== 'string') return value;
        return async (...args: unknown[]) => {
          life.pass(`${name}.${key}.before`);
          const result: unknown = await Reflect.apply(value, target, args);
          life.pass(`${name}.${key}.after`);
          return result;
        };
      },
    }),
  };
  return life;
}

/** Reading is no effect: only what is written has places to die at. A watch ends with the store. */
export function mortalStore(life: DaemonLife, store: Store): Store {
  const effects = life.mortal('store', store);
  const alive = <T>(work: () => Promise<T>) => work().then((result) => { if (life.ended) throw deadDaemon(); return result; });
  return {
    get: (key) => alive(() => store.get(key)),
    list: (prefix) => alive(() => store.list(prefix)),
    transact: effects.transact,
    compact: (revision) => store.compact(revision),
    watch: (prefix, revision, signal) => store.watch(prefix, revision, AbortSignal.any([signal, abortedBy(life)])),
    close: () => store.close(),
  };
}

/** An engine whose machines are let go of at the daemon's death, as the kernel closes what a dead process had open. */
export function mortalEngine(life: DaemonLife, engine: Engine): Engine {
  const held = new Set<RunningMachine>();
  void life.death.then(() => Promise.all([...held].map((machine) => machine.release())));
  const hold = (machine: RunningMachine): RunningMachine => {
    held.add(machine);
    const effects = life.mortal('machine', machine);
    return { ...machine, attachDisk: effects.attachDisk, detachDisk: effects.detachDisk, kill: effects.kill, openAgentLine: effects.openAgentLine, pause: effects.pause, resume: effects.resume, ...(effects.snapshot === undefined ? {} : { snapshot: effects.snapshot }), ...(effects.suspend === undefined ? {} : { suspend: effects.suspend }), ...(machine.diskOperations === undefined ? {} : { diskOperations: life.mortal('disk', machine.diskOperations) }), pressPowerButton: effects.pressPowerButton };
  };
  const effects = life.mortal('engine', engine);
  return {
    name: engine.name, connectsAgain: engine.connectsAgain,
    capabilities: () => engine.capabilities(),
    prove: (signal) => engine.prove(signal),
    start: async (spec, signal) => hold(await effects.start(spec, signal)),
    async adopt(spec) {
      const result = await engine.adopt(spec);
      if (life.ended) throw deadDaemon();
      return result.found === 'running' ? { found: 'running', machine: hold(result.machine) } : result;
    },
    ...(engine.suspended === undefined ? {} : { suspended: engine.suspended.bind(engine) }),
    ...(engine.copies === undefined ? {} : { copies: { ...life.mortal('copies', engine.copies), ...(engine.copies.placesOf === undefined ? {} : { placesOf: engine.copies.placesOf }) } }),
    consoleLog: (id) => engine.consoleLog(id),
    erase: effects.erase,
  };
}

const signals = new WeakMap<DaemonLife, AbortSignal>();

function abortedBy(life: DaemonLife): AbortSignal {
  const known = signals.get(life);
  if (known !== undefined) return known;
  const end = new AbortController();
  void life.death.then(() => end.abort(deadDaemon()));
  signals.set(life, end.signal);
  return end.signal;
}
