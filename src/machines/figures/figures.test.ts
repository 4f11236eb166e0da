/** Rules M80 and M81 without a guest: the arithmetic, and when figures are taken and hold. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { z } from 'zod';
import { silentLog, StrataError, systemClock, systemDice, waitUntil } from '#base';
import { recordsOf } from '#store';
import { openSqliteStore } from '#store/sqlite';
import type { Engine } from '../engine.ts';
import { fakeWorld, openFakeEngine } from '../fake/index.ts';
import type { EngineProof } from '../keep-proofs.ts';
import { giveWay } from './give-way.ts';
import { keepFigures, type KeepFiguresDeps } from './keep-figures.ts';
import { measureFigures } from './measure-figures.ts';

/** A guest in which a step, a call and a process cost that much, and whose clock counts hundredths. */
function slowGuest(cost: { readonly step: number; readonly call: number; readonly fork: number }, noise: () => number = () => 1) {
  const asked: string[] = [];
  const run = async (script: string): Promise<string> => {
    asked.push(script);
    const count = Number(/-lt (\d+)/.exec(script)?.[1] ?? /count=(\d+)/.exec(script)?.[1]);
    const seconds = (script.includes('count=') ? 2 * count * cost.call : count * (script.includes('busybox true') ? cost.fork : cost.step)) * noise();
    return `100.00 ${(100 + seconds).toFixed(2)}\n`;
  };
  return { run, asked };
}

test('[M80] what an operation costs is found within the clock\'s grain, however fast the guest is', async () => {
  for (const cost of [{ step: 1e-6, call: 5.5e-5, fork: 0.036 }, { step: 1.8e-5, call: 1e-6, fork: 0.0065 }, { step: 1e-8, call: 1e-7, fork: 5e-5 }]) {
    const figures = await measureFigures(slowGuest(cost).run);
    const near = (found: number, real: number) => ok(Math.abs(found / real - 1) < 0.05, `${found} for ${real}`);
    near(figures.stepNanos, cost.step * 1e9);
    near(figures.callNanos, cost.call * 1e9);
    near(figures.forkMicros, cost.fork * 1e6);
  }
});

test('[M80] the best of several runs counts; a guest that says nonsense is an error', async () => {
  let runs = 0;
  const figures = await measureFigures(slowGuest({ step: 1e-5, call: 1e-5, fork: 0.01 }, () => ((runs += 1) % 3 === 0 ? 1 : 2)).run);
  ok(Math.abs(figures.stepNanos / 10_000 - 1) < 0.05, String(figures.stepNanos));
  await rejects(measureFigures(async () => 'sh: read: not found'), { code: 'machine.badFigures' });
  await rejects(measureFigures(async () => '2.00 1.00'), { code: 'machine.badFigures' });
});

interface World { readonly deps: KeepFiguresDeps; readonly starts: () => number; readonly set: { version: string; built: string | undefined; proved: boolean; busy: boolean; fails: boolean } }

async function openWorld(t: TestContext): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-figures-'));
  const store = await openSqliteStore({ path: join(folder, 'store.db') });
  const end = new AbortController();
  t.after(async () => { end.abort(); await store.close(); rmSync(folder, { recursive: true }); });
  const set: World['set'] = { version: 'fake 1', built: 'g1', proved: true, busy: false, fails: false };
  const world = fakeWorld();
  const fake = openFakeEngine({ world });
  let starts = 0;
  const engine: Engine = { ...fake, capabilities: async () => ({ ...await fake.capabilities(), architectures: ['x86_64'], version: set.version }), start: (spec, signal) => { starts += 1; if (set.fails) throw new StrataError('no room', { code: 'test.full', kind: 'exhausted' }); return fake.start(spec, signal); } };
  const proof: EngineProof = { engine: 'fake', architecture: 'x86_64', accelerator: 'none', works: true, evidence: '' };
  let looks = 0;
  t.after(() => deepEqual([...world.vmms.keys()], [], 'a machine that was measured leaves nothing'));
  return {
    set, starts: () => starts,
    deps: {
      engines: [engine], store, signal: end.signal, dice: systemDice, log: silentLog, giveWay: async () => undefined,
      clock: { ...systemClock, wait: (milliseconds, signal) => systemClock.wait(milliseconds === 600_000 || milliseconds === 3000 ? 1 : milliseconds, signal) },
      proofs: { all: async () => [proof], known: async () => (set.proved ? [proof] : undefined) },
      builtGuestOs: async () => set.built,
      processorTimes: () => { looks += 1; return { busyMs: set.busy ? looks * 1000 : 0, allMs: looks * 2000, count: 2 }; },
    },
  };
}

test('[M81] figures are taken once for a version and a build, only of what was proved and built', async (t) => {
  const { deps, set, starts } = await openWorld(t);
  const figures = keepFigures(deps);
  set.proved = false;
  await figures.takeLacking();
  [set.proved, set.built] = [true, undefined];
  await figures.takeLacking();
  deepEqual([starts(), await figures.known()], [0, []]);
  set.built = 'g1';
  await figures.takeLacking();
  await figures.takeLacking();
  equal(starts(), 1);
  deepEqual((await keepFigures(deps).known()).map(({ engine, architecture, callNanos }) => [engine, architecture, callNanos > 0]), [['fake', 'x86_64', true]], 'a later daemon knows them');
  set.version = 'fake 2';
  deepEqual(await figures.known(), []);
  await figures.takeLacking();
  set.built = 'g2';
  await figures.takeLacking();
  equal(starts(), 3);
});

test('[M81] in the background it waits for a quiet host, and tries again what failed', async (t) => {
  const { deps, set, starts } = await openWorld(t);
  const figures = keepFigures(deps);
  set.busy = true;
  const background = figures.takeInBackground();
  await systemClock.wait(50);
  equal(starts(), 0, 'the host is busy');
  [set.busy, set.fails] = [false, true];
  await waitUntil(() => starts() > 1, { what: 'what failed is tried again', limitMs: 10_000 });
  set.fails = false;
  await waitUntil(async () => (await figures.known()).length === 1, { what: 'it is measured', limitMs: 10_000 });
  const end = new AbortController();
  await Promise.race([keepFigures({ ...deps, signal: end.signal }).takeInBackground(), (async () => end.abort())()]);
  void background; // ends with the world
});

test('[M81] what a daemon that died left of a measurement is removed by the next one', async (t) => {
  const { deps } = await openWorld(t);
  const [engine] = deps.engines as [Engine];
  await engine.start({ id: 'mfiguresfakexf', name: 'figures', architecture: 'x86_64', engine: 'fake', processors: 1, memoryMiB: 64, boot: { kind: 'guest-os' }, scratchMiB: 0, disks: [], network: null, wanted: 'running', owner: null, createdAt: 0, generation: 1 });
  await recordsOf(deps.store, 'engine-measuring', z.looseObject({})).put('fake.x86_64', { engine: 'fake', architecture: 'x86_64' });
  await keepFigures(deps).sweep();
  deepEqual(await recordsOf(deps.store, 'engine-measuring', z.looseObject({})).list(), []);
});

test('[M82] a VMM that is measured gives way to everything else, with its threads and children', async (t) => {
  const parent = spawn('/bin/sh', ['-c', 'sleep 60 & wait'], { stdio: 'ignore' });
  t.after(() => { for (const pid of children) process.kill(pid, 'SIGKILL'); parent.kill('SIGKILL'); });
  const pid = parent.pid ?? 0;
  const readChildren = () => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter((one) => one !== '').map(Number);
  const children = await waitUntil(() => { const found = readChildren(); return found.length > 0 && found; }, { what: 'it has a child', limitMs: 10_000 });
  await giveWay(pid);
  for (const one of [pid, ...children]) equal(getPriority(one), 19);
  await giveWay(2 ** 22 - 1); // of no process
});
