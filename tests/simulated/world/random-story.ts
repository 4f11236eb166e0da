/**
 * One story by chance, the same for the same seed as far as the event loop permits: people ask for one thing after another,
 * often before the one before has ended, while machines, containers, daemons and the store fail. Once all rests, what is
 * there is judged, and what is asked for then must succeed.
 */
import { equal } from 'node:assert/strict';
import { seededDice, StrataError, systemClock } from '#base';
import type { Operation } from '#contract';
import { change, down, up, type AppWish } from './ask-app.ts';
import { comeToRest } from './come-to-rest.ts';
import type { AtPoint } from './daemon-life.ts';
import { openSimulatedHost, type SimulatedHost } from './simulated-host.ts';
import { answerStories } from './story-threads.ts';

export interface RandomStory { readonly seed: number }
/** How many faults came about, and how many operations ended well. */
export interface RandomStoryTold { readonly faults: number; readonly succeeded: number }

/** Points at which something fails when its turn has come: the engine, the store (one that fails has written nothing), the drivers of traffic. */
const failing = ['engine.start.before', 'store.transact.before', 'network.ensureTap.before', 'network.apply.before', 'gateway.apply.before', 'images.pull.before', 'machine.attachDisk.before', 'machine.detachDisk.before'];
/** Longest pause between two steps, ms of real time: from before anything has begun until almost all has come to rest. */
const longestPauseMs = 120;

class Teller {
  readonly #host: SimulatedHost;
  readonly #dice;
  readonly #asked: Promise<void>[] = [];
  readonly said: string[] = [];
  faults = 0;
  succeeded = 0;

  constructor(host: SimulatedHost, seed: number) {
    this.#host = host;
    this.#dice = seededDice(Math.imul(seed, 0x9e3779b1));
  }

  async tell(): Promise<void> {
    await this.#ask('up', (host) => up(host, this.#wish()));
    for (let steps = 3 + this.#below(4); steps > 0; steps -= 1) {
      await this.#step();
      if (this.#below(3) > 0) await systemClock.wait(this.#below(longestPauseMs));
    }
    this.#host.watch(() => undefined);
    await Promise.all(this.#asked);
    if (this.#host.daemon.life.ended) await this.#host.start();
    await comeToRest(this.#host);
    await this.#end();
    await comeToRest(this.#host);
  }

  #below(limit: number): number { return Math.floor(this.#dice.fraction() * limit); }
  #pick<T>(list: readonly T[]): T | undefined { return list[this.#below(list.length)]; }

  async #step(): Promise<void> {
    const kind = this.#below(12);
    if (kind < 3) return this.#ask('up', (host) => up(host, this.#wish(), this.#below(4) === 0 ? { services: ['web'] } : this.#below(4) === 0 ? { forceRecreate: true } : {}));
    if (kind < 5) return this.#ask('down', (host) => down(host, { volumes: this.#below(2) === 0 }));
    if (kind < 7) return this.#ask('change', (host) => change(host, this.#pick(['start', 'stop', 'restart'] as const) ?? 'stop', this.#pick([[], ['web'], ['db', 'worker']]) ?? []));
    if (kind < 8) return this.#endMachine();
    if (kind < 9) return this.#endContainer();
    if (kind < 10) return this.#endDaemon();
    this.#fail(this.#pick(failing) ?? '', 1 + this.#below(2), this.#below(6));
  }

  #wish(): AppWish {
    return {
      image: `web:${1 + this.#below(2)}`, dbVersion: String(1 + this.#below(2)), replicas: 1 + this.#below(3), port: 18_080 + this.#below(2),
      withoutWorker: this.#below(3) === 0, dedicated: this.#below(3) === 0,
    };
  }

  /** Half of all are not waited for. What refuses or fails must say why in words of its own. */
  async #ask(what: string, ask: (host: SimulatedHost) => Promise<Operation>): Promise<void> {
    this.said.push(what);
    const { life } = this.#host.daemon;
    const asked = ask(this.#host).then(
      ({ status, error }) => {
        if (status === 'succeeded') this.succeeded += 1;
        if (error?.status === 500) throw new Error(`${what} failed: ${JSON.stringify(error)}`);
      },
      (thrown: unknown) => {
        const known = thrown instanceof StrataError && thrown.kind !== 'internal';
        if (!known && !life.ended) throw new Error(`${what} was refused: ${String(thrown)}`, { cause: thrown });
      },
    );
    void asked.catch(() => undefined); // looked at in the end
    this.#asked.push(asked);
    if (this.#below(2) === 0) await asked;
  }

  #endMachine(): void {
    const id = this.#pick([...this.#host.world.vmms.keys()]);
    if (id === undefined) return;
    this.#note(`machine ${id} ends`);
    this.#host.world.end(id);
  }

  /** Not the job: that it ended badly would be its own end. */
  #endContainer(): void {
    const containers = [...this.#host.world.vmms.values()].flatMap((vmm) => [...vmm.guest?.containers.values() ?? []]).filter((one) => one.runs && one.spec.argv[0] !== 'exit');
    const chosen = this.#pick(containers);
    if (chosen === undefined) return;
    this.#note(`container ${chosen.spec.id} ends`);
    chosen.kill('SIGKILL');
  }

  async #endDaemon(): Promise<void> {
    this.#note('the daemon ends');
    this.#host.daemon.life.end();
    await this.#host.start();
  }

  /** From the time after next on it fails so many times. */
  #fail(point: string, times: number, after: number): void {
    let [left, passed] = [times, 0];
    this.said.push(`${point} fails ${times} times after ${after}`);
    const atPoint: AtPoint = (name) => {
      if (name !== point || left === 0) return;
      passed += 1;
      if (passed <= after) return;
      left -= 1;
      this.faults += 1;
      throw new StrataError(`it fails at ${point}`, { code: 'sim.failed', kind: 'unavailable' });
    };
    this.#host.watch(atPoint);
  }

  #note(what: string): void {
    this.faults += 1;
    this.said.push(what);
  }

  /** With all faults gone, the app comes up, or leaves nothing behind. */
  async #end(): Promise<void> {
    const host = this.#host;
    if (this.#below(2) === 0 && (await host.daemon.backend.apps.list()).length > 0) {
      this.said.push('at last down');
      const { status, error } = await down(host, { volumes: true });
      equal(status, 'succeeded', JSON.stringify(error));
      await comeToRest(host);
      equal(host.volumeDisks().length + host.world.vmms.size + (await host.daemon.layers.containers.volumes.list()).length, 0, 'nothing is left');
      return;
    }
    this.said.push('at last up');
    const { status, error } = await up(host, this.#wish());
    equal(status, 'succeeded', JSON.stringify(error));
  }
}

async function tellStory({ seed }: RandomStory): Promise<RandomStoryTold> {
  const host = await openSimulatedHost();
  const teller = new Teller(host, seed);
  try {
    await teller.tell();
  } catch (thrown) {
    throw new Error(`seed ${seed} (STRATA_TEST_SEED=${seed} tells it again): ${(thrown as Error).message}\n  ${teller.said.join('\n  ')}`, { cause: thrown });
  } finally {
    host.watch(() => undefined);
    await host.close();
  }
  return { faults: teller.faults, succeeded: teller.succeeded };
}

answerStories(tellStory);
