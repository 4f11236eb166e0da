/**
 * The figures of this host's engines, remembered for one version of an engine and one build of the guest OS. They are taken
 * in the background, one engine after the other, only of what was proved to run and is built already, and only while the
 * host has little to do: nobody ever waits for them.
 */
import { z } from 'zod';
import { architectures, asStrataError, type Architecture, type Clock, type Dice, type Log } from '#base';
import { recordsOf, type Store } from '#store';
import type { Engine } from '../engine.ts';
import { engineNames } from '../machine.ts';
import type { KeptProofs } from '../keep-proofs.ts';
import { engineFiguresSchema, type EngineFigures } from './engine-figures.ts';
import { eraseMeasured, measureEngine } from './measure-engine.ts';
import { busyProcessors, readProcessorTimes, type ProcessorTimes } from './read-processor-times.ts';

/** Written before a guest is started to be measured, so that it is found where the daemon dies meanwhile. */
const underWaySchema = z.strictObject({ engine: z.enum(engineNames), architecture: z.enum(architectures) });
const keptSchema = z.strictObject({ version: z.string(), guestOs: z.string(), figures: engineFiguresSchema });

export interface KeepFiguresDeps {
  readonly engines: readonly Engine[];
  readonly proofs: KeptProofs;
  readonly store: Store;
  /** Version of the guest OS that is built for that engine and architecture; undefined where none is. */
  builtGuestOs(engine: Engine['name'], architecture: Architecture): Promise<string | undefined>;
  /** Of the host; another in tests. */
  readonly processorTimes?: () => ProcessorTimes;
  /** Lets everything else go before that process and all it starts. */
  giveWay(pid: number): Promise<void>;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export interface KeptFigures {
  /** Those that still hold. */
  known(): Promise<readonly EngineFigures[]>;
  /** Ends and removes what an earlier daemon, ended at any moment, left of a measurement; called once, before anything runs. */
  sweep(): Promise<void>;
  /** Takes those that are lacking, one after the other. @throws StrataError where an engine cannot be measured */
  takeLacking(): Promise<void>;
  /** Looks from time to time whether something is lacking and the host is quiet, until the signal. Never throws. */
  takeInBackground(): Promise<void>;
}

/** Long after a start, which has better things to do; then as often. */
const lookEveryMs = 10 * 60_000;
const quietForMs = 3000;
/** Of all processors together. */
const quietBelow = 0.25;

export function keepFigures(deps: KeepFiguresDeps): KeptFigures {
  const kept = recordsOf(deps.store, 'engine-figures', keptSchema);
  const underWay = recordsOf(deps.store, 'engine-measuring', underWaySchema);
  const processorTimes = deps.processorTimes ?? readProcessorTimes;

  /** Undefined where the engine or its guest OS is not there. */
  async function stateOf(engine: Engine, architecture: Architecture): Promise<{ readonly version: string; readonly guestOs: string } | undefined> {
    const [{ version, architectures }, guestOs] = await Promise.all([engine.capabilities(), deps.builtGuestOs(engine.name, architecture)]);
    return guestOs === undefined || !architectures.includes(architecture) ? undefined : { version: version ?? '', guestOs };
  }
  async function eachPair() {
    const pairs = await Promise.all(deps.engines.map(async (engine) => (await engine.capabilities()).architectures.map((architecture) => ({ engine, architecture }))));
    return Promise.all(pairs.flat().map(async ({ engine, architecture }) => {
      const [state, record, proofs] = await Promise.all([stateOf(engine, architecture), kept.get(keyOf(engine, architecture)), deps.proofs.known(engine.name)]);
      const holds = record !== undefined && state !== undefined && record.value.version === state.version && record.value.guestOs === state.guestOs;
      const proved = proofs?.some((proof) => proof.architecture === architecture && proof.works) === true;
      return { engine, architecture, state, figures: holds ? record.value.figures : undefined, proved };
    }));
  }
  async function takeLacking(isQuiet: () => Promise<boolean>): Promise<void> {
    for (const { engine, architecture, state, figures, proved } of await eachPair()) {
      if (figures !== undefined || state === undefined || !proved) continue;
      if (deps.signal.aborted || !(await isQuiet())) return;
      const key = keyOf(engine, architecture);
      await underWay.put(key, { engine: engine.name, architecture });
      const taken = await measureEngine(deps, engine, architecture, deps.signal);
      await underWay.delete(key);
      await kept.put(key, { ...state, figures: taken });
      deps.log.info({ ...taken }, 'an engine was measured');
    }
  }
  async function isQuiet(): Promise<boolean> {
    const before = processorTimes();
    await deps.clock.wait(quietForMs, deps.signal);
    return busyProcessors(before, processorTimes()) < quietBelow;
  }

  return {
    known: async () => (await eachPair()).flatMap(({ figures }) => figures ?? []),
    async sweep() {
      for (const { id, value } of await underWay.list()) {
        const engine = deps.engines.find((one) => one.name === value.engine);
        if (engine !== undefined) await eraseMeasured(engine, value.architecture);
        await underWay.delete(id);
      }
    },
    takeLacking: () => takeLacking(async () => true),
    async takeInBackground() {
      while (!deps.signal.aborted) {
        try {
          await deps.clock.wait(lookEveryMs, deps.signal);
          await takeLacking(isQuiet);
        } catch (thrown) {
          if (!deps.signal.aborted) deps.log.warn({ error: asStrataError(thrown, 'measuring').message }, 'an engine could not be measured; it is tried again later');
        }
      }
    },
  };
}

const keyOf = (engine: Engine, architecture: Architecture): string => `${engine.name}.${architecture}`;
