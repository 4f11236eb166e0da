/**
 * Lives of machines of every kind, through the API: each engine and architecture, begun by a boot, a clone or from the pool, each with something
 * done to it that only machines can have done, each ended in its own way. What they cost the daemon is asked by who runs them.
 */
import assert from 'node:assert/strict';
import { hostArchitecture, identifyProcess, signalProcess, waitUntil, type Architecture } from '#base';
import { ClientProblem, followOperation, type Client, type Machine, type Operation } from '#client';
import { machineTraces } from './census.ts';
import type { TestInstance } from './test-instance.ts';

interface Life { readonly client: Client; readonly name: string }
interface Kind {
  readonly engine: 'qemu' | 'uml';
  readonly architecture: Architecture;
  /** From when it answered until it is removed. */
  live(life: Life): Promise<void>;
}

const other: Architecture = hostArchitecture === 'x86_64' ? 'aarch64' : 'x86_64';
const qemu = (live: Kind['live'], architecture: Architecture = hostArchitecture): Kind => ({ engine: 'qemu', architecture, live });
const uml = (live: Kind['live']): Kind => ({ engine: 'uml', architecture: hostArchitecture, live });

/** In turn; ten of them, so that a hundred lives are ten of each. */
const kinds: readonly Kind[] = [qemu(stop), qemu(lose), uml(stop), qemu(stop, other), qemu(pause), uml(lose), qemu(suspend), qemu(fork), qemu(restore), uml(pause)];

export const kindsOfLives = kinds.length;

export interface LifeLived { readonly kind: string; readonly ms: number }

/** Lives number `from` to `to`, `together` at a time. Returns those that were lived. */
export async function runMixedLives(strata: TestInstance, { from, to, together, untilMs = Number.POSITIVE_INFINITY }: { readonly from: number; readonly to: number; readonly together: number; readonly untilMs?: number }): Promise<readonly LifeLived[]> {
  let next = from;
  const lived: LifeLived[] = [];
  await Promise.all(Array.from({ length: together }, async () => {
    for (let at = next++; at < to && performance.now() < untilMs; at = next++) {
      const kind = kinds[at % kinds.length] as Kind;
      const [life, said, began] = [{ client: strata.client(), name: `life${at}` }, `${kind.engine} ${kind.architecture} ${kind.live.name}`, performance.now()];
      await live(life, kind).catch((cause: unknown) => { throw new Error(`${life.name}, ${said}`, { cause }); });
      lived.push({ kind: said, ms: performance.now() - began });
    }
  }));
  await waitUntil(async () => machineTraces(strata.instance).length === 0 || undefined, { what: 'nothing is left of the machines', limitMs: 30_000, everyMs: 100 }).catch(() => assert.deepEqual(machineTraces(strata.instance), []));
  return lived;
}

/** For people: how long a life of each kind took on average. */
export function describeLives(lived: readonly LifeLived[]): string {
  const byKind = Object.groupBy(lived, ({ kind }) => kind);
  return Object.entries(byKind).map(([kind, lives = []]) => `${kind} ${Math.round(lives.reduce((sum, { ms }) => sum + ms, 0) / lives.length)} ms`).join(', ');
}

async function live(life: Life, { engine, architecture, live: inItsWay }: Kind): Promise<void> {
  await life.client.call('createMachine', { body: { name: life.name, engine, architecture, memoryMiB: 160, disks: [] } });
  await answers(life, life.name);
  await inItsWay(life);
  await remove(life, life.name);
}

async function stop(life: Life): Promise<void> {
  await life.client.call('stopMachine', { params: { machine: life.name }, body: {} });
  await reaches(life, life.name, 'stopped');
}

/** Its VMM is killed from outside; it is removed while it comes back. */
async function lose(life: Life): Promise<void> {
  const { pid } = await look(life, life.name);
  const identity = pid === null ? undefined : await identifyProcess(pid);
  assert.ok(identity !== undefined, 'it has a process');
  await signalProcess(identity, 'SIGKILL');
  await waitUntil(async () => ((await look(life, life.name)).restarts > 0) || undefined, { what: `the loss of ${life.name} was noticed`, limitMs: 60_000, everyMs: 50 });
}

function pause(life: Life): Promise<void> { return restAndGoOn(life, 'pauseMachine', 'paused'); }

function suspend(life: Life): Promise<void> { return restAndGoOn(life, 'suspendMachine', 'suspended'); }

async function restAndGoOn(life: Life, rest: 'pauseMachine' | 'suspendMachine', phase: Machine['phase']): Promise<void> {
  await life.client.call(rest, { params: { machine: life.name }, body: {} });
  await reaches(life, life.name, phase);
  await life.client.call('resumeMachine', { params: { machine: life.name }, body: {} });
  await answers(life, life.name);
}

async function fork(life: Life): Promise<void> {
  const twin = `${life.name}-twin`;
  await ends(life, await life.client.call('forkMachine', { params: { machine: life.name }, body: { name: twin } }));
  await answers(life, twin);
  await remove(life, twin);
  await answers(life, life.name);
}

async function restore(life: Life): Promise<void> {
  await ends(life, await life.client.call('createSnapshot', { params: { machine: life.name }, body: { name: 'then', memory: true } }));
  await ends(life, await life.client.call('restoreSnapshot', { params: { machine: life.name, snapshot: 'then' }, body: {} }));
  await answers(life, life.name);
}

async function remove(life: Life, name: string): Promise<void> {
  await life.client.call('removeMachine', { params: { machine: name }, query: { force: true } });
  const gone = () => look(life, name).then(() => undefined, (thrown: unknown) => { if (thrown instanceof ClientProblem && thrown.status === 404) return true; throw thrown; });
  await waitUntil(gone, { what: `${name} is gone`, limitMs: 60_000, everyMs: 50 });
}

/** It runs, and a program in it says what it is. */
async function answers(life: Life, name: string): Promise<void> {
  await reaches(life, name, 'running');
  const terminal = await life.client.terminal('execInMachine', name, { argv: ['/bin/busybox', 'uname', '-s'], stdin: false });
  const said = terminal.output.setEncoding('utf8').toArray();
  assert.equal(await terminal.done, 0);
  assert.equal((await said).join(''), 'Linux\n');
  terminal.close();
}

async function reaches(life: Life, name: string, wanted: Machine['phase']): Promise<void> {
  const arrived = async () => {
    const { phase, why } = await look(life, name);
    if (phase === 'failed' && wanted !== 'failed') throw new Error(`${name} failed: ${why}`);
    return phase === wanted || undefined;
  };
  await waitUntil(arrived, { what: `${name} is ${wanted}`, limitMs: 120_000, everyMs: 50 });
}

async function ends({ client }: Life, { id, kind }: Operation): Promise<void> {
  let last: Operation | undefined;
  for await (const seen of followOperation(client, id)) last = seen;
  assert.equal(last?.status, 'succeeded', `${kind}: ${JSON.stringify(last?.error)}`);
}

const look = ({ client }: Life, name: string): Promise<Machine> => client.call('getMachine', { params: { machine: name } });
