/**
 * The matrix of one verb (P2): it is cut off at every place it comes to, and after that it holds as if it had not been, or
 * nothing is left of it and it can be asked for again. A place is disturbed by the daemon's death, by a failure there, by a
 * failure whose undoing the daemon dies in, and by whoever cancels it.
 */
import { equal, ok } from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { StrataError, waitUntil } from '#base';
import type { Operation } from '#contract';
import type { SimulatedHost } from './simulated-host.ts';

export interface VerbUnderTest {
  readonly name: string;
  prepare(): Promise<void>;
  /** Asks for it: an operation, or a wish that a controller makes come true. */
  act(): Promise<unknown>;
  /** As after an undisturbed one; waits for what comes by itself. */
  check(): Promise<void>;
  /** What it comes to where it is so already: the code of the refusal; empty: the same once more. */
  readonly again: string;
  /** As if it had never been asked for. Only of verbs that take back what they made where they fail or are cancelled. */
  untouched?(): Promise<void>;
  /** Where nothing could be taken back if it failed; there it only dies. */
  readonly onlyDies?: RegExp;
  /** Where a failure may cost what was in memory; always tried, and `checkLost` holds after it instead of `check`. */
  readonly losesAt?: RegExp;
  /** @param asked the operation, where it is one; undisturbed from here on */
  checkLost?(asked: Operation | undefined): Promise<void>;
  /** Takes back once more what was taken back already, by the input its operation was started with. */
  undo?(input: unknown): Promise<void>;
  clean(): Promise<void>;
}

export interface MatrixWorld {
  readonly host: SimulatedHost;
  /** @throws where something is there that no wish wants */
  nothingHalfMade(): Promise<void>;
  /** No machine is between two phases. */
  rests(): Promise<void>;
  /** Disturbances of one verb, spread over all there are; `STRATA_TEST_MATRIX=all` takes all. */
  readonly most: number;
}

type How = 'die' | 'fail' | 'fail, then die' | 'cancel';
interface Disturbance { readonly place: string; readonly nth: number; readonly how: How }

export const limits = { limitMs: 20_000, everyMs: 5 };
/** A place is come to more than once; beyond these it is the waiting for something. */
const mostTimes = 3;
/** What only comes true by and by would be cut off in the middle of a look at it: what was written is. */
const canFail = (place: string): boolean => !/^store\..*\.after$/.test(place);

const isOperation = (answer: unknown): answer is Operation => typeof answer === 'object' && answer !== null && 'steps' in answer;
const failure = (place: string) => new StrataError(`it fails at ${place}`, { code: 'sim.failed', kind: 'unavailable' });
const codeOf = (thrown: unknown): string => (thrown instanceof StrataError ? thrown.code : '');

export async function testVerb({ host, nothingHalfMade, rests, most }: MatrixWorld, verb: VerbUnderTest, t: TestContext): Promise<void> {
  const newest = async (): Promise<Operation | undefined> => (await host.daemon.backend.operations.list({ subject: undefined, limit: 1 }))[0];
  const hasEnded = (id: string): Promise<Operation> => waitUntil(async () => {
    const one = await host.daemon.backend.operations.get(id);
    return one.finishedAt !== null && one;
  }, { what: `operation ${id} has ended`, ...limits });

  /** How it ended, asked for while nothing disturbs it: the code of its refusal, empty where it succeeded. */
  async function ask(): Promise<string> {
    let answer: unknown;
    try { answer = await verb.act(); } catch (thrown) {
      if (codeOf(thrown) === '') throw thrown;
      return codeOf(thrown);
    }
    if (!isOperation(answer)) return '';
    const { error } = await hasEnded(answer.id);
    return error?.code ?? '';
  }
  async function holds(what: string, check = verb.check): Promise<void> {
    try {
      await check();
      await nothingHalfMade();
    } catch (thrown) {
      throw new StrataError(`${verb.name}, ${what}: ${String(thrown)}`, { code: 'test.matrix', kind: 'internal', cause: thrown });
    }
  }

  /** Puts the disturbance in its way. */
  function lieInWait({ place, nth, how }: Disturbance, earlier: string | undefined): { readonly met: () => boolean } {
    let [seen, met, dying] = [0, false, false];
    const cancelTwice = async (): Promise<void> => {
      const last = await newest();
      for (let time = 0; time < 2 && last !== undefined && last.id !== earlier; time += 1) await host.daemon.backend.operations.cancel(last.id);
    };
    host.watch((name, life) => {
      if (met) {
        // The first effect but writing down how it goes: that of taking back.
        if (how !== 'fail, then die' || dying || name.startsWith('store.')) return;
        dying = true;
        return life.end();
      }
      if (name !== place || (seen += 1) < nth) return;
      met = true;
      if (how === 'die') life.end();
      else if (how === 'cancel') void cancelTwice().catch(() => undefined); // whether it was is seen by how it ends
      else throw failure(place);
    });
    return { met: () => met };
  }

  const mayLose = ({ place, how }: Disturbance): boolean => how.startsWith('fail') && verb.losesAt?.test(place) === true;
  const checkAfter = (disturbance: Disturbance, asked: () => Operation | undefined) => (mayLose(disturbance) ? async () => { await verb.checkLost?.(asked()); } : () => verb.check());

  /** Asks for it where the disturbance waits, until all is at rest in a daemon that lives. What became of its operation, if there is one. */
  async function askDisturbed(disturbance: Disturbance): Promise<{ readonly met: boolean; readonly refused: boolean; readonly died: boolean; readonly operation: Operation | undefined }> {
    const { life } = host.daemon;
    const earlier = (await newest())?.id;
    const { met } = lieInWait(disturbance, earlier);
    let [answer, refused]: [unknown, boolean] = [undefined, false];
    try { answer = await verb.act(); } catch (thrown) {
      if (codeOf(thrown) !== 'sim.failed' && !life.ended) throw thrown;
      refused = true;
    }
    const settled = async (): Promise<unknown> => {
      if (isOperation(answer)) return hasEnded(answer.id);
      const check = checkAfter(disturbance, () => undefined);
      return check().catch((thrown: unknown) => { if (codeOf(thrown) !== 'sim.failed') throw thrown; return check(); }); // looking failed
    };
    if (!life.ended && !refused) await Promise.race([settled().catch((thrown: unknown) => { if (!life.ended) throw thrown; }), life.death]);
    host.watch(() => undefined);
    const died = life.ended;
    if (died) await host.start();
    const last = await newest();
    return { met: met(), refused, died, operation: last === undefined || last.id === earlier ? undefined : await hasEnded(last.id) };
  }

  let asked: Operation | undefined;
  async function disturb(disturbance: Disturbance): Promise<boolean> {
    const { how } = disturbance;
    const { met, refused, died, operation } = await askDisturbed(disturbance);
    asked = operation;
    if (how === 'cancel' && operation !== undefined) {
      ok(['succeeded', 'cancelled'].includes(operation.status), `cancelled, it ${operation.status}: ${operation.error?.detail ?? ''}`);
      equal((await host.daemon.backend.operations.cancel(operation.id)).status, operation.status, 'what has ended stays as it is');
    }
    if (operation?.status === 'succeeded' || (operation === undefined && !refused && !died)) return met;
    if (operation !== undefined) {
      await nothingHalfMade();
      const left = await verb.untouched?.().then(() => undefined, (thrown: unknown) => thrown);
      // Too late: it holds, only nobody waited for it any more; or it was done, and done again it is refused.
      if (left !== undefined && (how === 'cancel' || (died && operation.error?.code === verb.again))) return met;
      if (left !== undefined) throw left;
      const { input } = await host.daemon.layers.operations.get(operation.id);
      for (let time = 0; time < 2; time += 1) await verb.undo?.(input);
      await verb.untouched?.();
    }
    await rests();
    const code = await ask();
    // Whoever's question was cut off may have got what they asked for, and what is removed is not taken back.
    ok(code === '' || (operation === undefined && [verb.again, 'machine.notPermitted'].includes(code)) || (verb.untouched === undefined && code === verb.again), `asked again it is refused with ${code}, after ${JSON.stringify(operation)}`);
    return met;
  }

  await verb.clean(); // of what another verb may have left where it failed
  await verb.prepare();
  const times = new Map<string, number>();
  host.watch((name) => { times.set(name, (times.get(name) ?? 0) + 1); });
  const before = (await newest())?.id;
  equal(await ask(), '');
  await verb.check();
  host.watch(() => undefined);
  const operates = (await newest())?.id !== before;
  await holds('undisturbed');
  equal(await ask(), verb.again, 'once more');
  await holds('asked twice');
  await verb.clean();

  const places = [...times].flatMap(([place, count]) => Array.from({ length: Math.min(count, mostTimes) }, (_none, index) => ({ place, nth: index + 1 })));
  const ways = (place: string): readonly How[] => ['die', ...(canFail(place) && verb.onlyDies?.test(place) !== true ? ['fail' as const] : []), ...(operates && !place.startsWith('store.') ? ['cancel' as const] : []), ...(operates && verb.undo !== undefined && verb.onlyDies?.test(place) !== true && !place.startsWith('store.') ? ['fail, then die' as const] : [])];
  const all = places.flatMap(({ place, nth }) => ways(place).map((how) => ({ place, nth, how })));
  const step = process.env['STRATA_TEST_MATRIX'] === 'all' ? 1 : Math.max(1, all.length / most);
  const disturbances = all.filter((one, index) => mayLose(one) || Math.floor(index / step) !== Math.floor((index - 1) / step));
  let met = 0;
  for (const disturbance of disturbances) {
    await verb.prepare();
    const what = `${disturbance.how} at ${disturbance.place} (${disturbance.nth})`;
    try { met += await disturb(disturbance) ? 1 : 0; } catch (thrown) {
      throw new StrataError(`${verb.name}, ${what}: ${String(thrown)}`, { code: 'test.matrix', kind: 'internal', cause: thrown });
    }
    await holds(what, checkAfter(disturbance, () => asked));
    await verb.clean();
  }
  t.diagnostic(`${verb.name}: ${met} of ${disturbances.length} disturbances (${all.length} in all) at ${times.size} places`);
  ok(met >= 4 && met >= disturbances.length * 0.7, `${met} of ${disturbances.length}`);
}
