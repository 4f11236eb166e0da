/** Rules V33 and V34: which engine runs a service, with the reason. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { chooseServiceEngine, isolations, type EngineOffer, type ServiceAsk, type ServiceEngine } from './choose-service-engine.ts';
import { learnMix, mixOf, secondsOf, usualCosts, workloads } from './workload.ts';

const qemu: EngineOffer = { engine: 'qemu', architecture: 'x86_64', isolation: 'emulated', maxProcessors: 64, maxDisks: 255, cost: null, broken: '' };
const uml: EngineOffer = { engine: 'uml', architecture: 'x86_64', isolation: 'process', maxProcessors: 1, maxDisks: 15, cost: null, broken: '' };
const arm: EngineOffer = { ...qemu, architecture: 'aarch64' };
const host = [qemu, uml, arm];
const ask = (changes: Partial<ServiceAsk> = {}): ServiceAsk => ({ architecture: 'x86_64', engine: 'auto', leastIsolation: undefined, workload: undefined, cpus: undefined, disks: 1, hasData: false, current: undefined, learnt: undefined, ...changes });
const whyOf = (choice: ServiceEngine): string => (choice.engine === null ? choice.refusals.map((one) => `${one.engine}: ${one.why}`).join('; ') : choice.why);
const accepts = { leastIsolation: 'process' } as const;

test('[V33] UML only where the file accepts its isolation, and never another architecture, more processors or disks than it has', () => {
  deepEqual(chooseServiceEngine(ask({ workload: 'compute' }), host), { engine: 'qemu', why: 'uml: its isolation is `process`, which the file does not accept (x-strata.least_isolation)' });
  equal(chooseServiceEngine(ask({ workload: 'compute', ...accepts }), host).engine, 'uml');
  equal(chooseServiceEngine(ask({ engine: 'uml' }), host).engine, 'uml');
  const refused: readonly (readonly [Partial<ServiceAsk>, RegExp])[] = [
    [{ architecture: 'aarch64' }, /uml: it does not run aarch64 guests here/],
    [{ cpus: 2 }, /uml: it gives at most 1 processor, and 2 are asked for/],
    [{ disks: 16 }, /uml: it takes at most 15 disks, and the image and the volumes are 16/],
    [{ leastIsolation: 'emulated' }, /uml: its isolation here is `process`, and `emulated` is the least that is asked for/],
  ];
  for (const [changes, why] of refused) {
    const choice = chooseServiceEngine(ask({ engine: 'uml', ...changes }), host);
    equal(choice.engine, null);
    match(whyOf(choice), why);
    equal(chooseServiceEngine(ask({ workload: 'compute', ...accepts, ...changes }), host).engine, 'qemu', 'what UML cannot do, auto gives to QEMU');
  }
  match(whyOf(chooseServiceEngine(ask({ leastIsolation: 'hardware' }), host)), /qemu: its isolation here is `emulated`, and `hardware` is the least/);
  match(whyOf(chooseServiceEngine(ask({ engine: 'uml' }), [qemu, { ...uml, broken: 'no guest ran with it here' }])), /no guest ran with it here/);
});

test('[V33] auto: KVM first; then by the work that is said or was counted; without a word QEMU', () => {
  const open = ask(accepts);
  equal(chooseServiceEngine(open, host).engine, 'qemu');
  match(whyOf(chooseServiceEngine(open, host)), /nothing is known of its work/);
  equal(chooseServiceEngine({ ...open, workload: 'compute' }, [{ ...qemu, isolation: 'hardware' }, uml]).engine, 'qemu');
  equal(chooseServiceEngine({ ...open, learnt: { codeSeconds: 1, calls: 10, forks: 0 } }, host).engine, 'uml');
  equal(chooseServiceEngine({ ...open, learnt: { codeSeconds: 1, calls: 1_000_000, forks: 0 } }, host).engine, 'qemu');
  equal(chooseServiceEngine({ ...open, workload: 'processes', learnt: { codeSeconds: 1, calls: 10, forks: 0 } }, host).engine, 'qemu', 'what the file says comes first');
  equal(chooseServiceEngine({ ...open, workload: 'compute' }, [{ ...qemu, cost: usualCosts.uml }, { ...uml, cost: usualCosts.uml }]).engine, 'qemu', 'the same speed is no reason to keep guests less apart');
  equal(chooseServiceEngine({ ...open, workload: 'requests' }, host).engine, 'qemu', 'what serves waits, which UML is slow at');
  equal(chooseServiceEngine({ ...open, learnt: { codeSeconds: 1, calls: 60_000, forks: 0 } }, host).engine, 'qemu', 'an even match is no reason either');
  match(whyOf(chooseServiceEngine({ ...open, workload: 'compute' }, host)), /^for its work \(compute\) UML is 1\d times as fast, by usual figures$/);
  equal(chooseServiceEngine({ ...open, workload: 'compute' }, [uml]).engine, 'uml', 'QEMU is not there');
});

test('[V34] what has data stays on the engine it runs on, until the file names another', () => {
  const data = ask({ ...accepts, hasData: true, workload: 'compute', current: 'qemu' });
  equal(chooseServiceEngine(data, host).engine, 'qemu');
  equal(chooseServiceEngine({ ...data, hasData: false }, host).engine, 'uml');
  equal(chooseServiceEngine({ ...data, engine: 'uml' }, host).engine, 'uml');
  equal(chooseServiceEngine({ ...data, current: 'uml', workload: 'processes' }, host).engine, 'uml');
  equal(chooseServiceEngine({ ...data, current: 'uml', leastIsolation: 'emulated' }, host).engine, 'qemu', 'what is no longer accepted is left');
});

test('[V33] whatever is asked: a choice is one that was offered and accepted, and it is the same for the same words', () => {
  const cost = fc.record({ stepNanos: fc.integer({ min: 100, max: 50_000 }), callNanos: fc.integer({ min: 100, max: 100_000 }), forkMicros: fc.integer({ min: 100, max: 50_000 }) });
  const offers = fc.array(fc.record({
    engine: fc.constantFrom('qemu' as const, 'uml' as const), architecture: fc.constantFrom('x86_64' as const, 'aarch64' as const), isolation: fc.constantFrom(...isolations), maxProcessors: fc.integer({ min: 1, max: 4 }),
    maxDisks: fc.integer({ min: 1, max: 20 }), cost: fc.option(cost), broken: fc.constantFrom('', 'it is broken'),
  }), { maxLength: 4 }).map((all) => all.filter((one, at) => all.findIndex((other) => other.engine === one.engine && other.architecture === one.architecture) === at));
  const asks = fc.record({
    architecture: fc.constantFrom('x86_64' as const, 'aarch64' as const), engine: fc.constantFrom('auto' as const, 'qemu' as const, 'uml' as const), leastIsolation: fc.constantFrom(undefined, ...isolations),
    workload: fc.constantFrom(undefined, ...workloads), cpus: fc.constantFrom(undefined, 0.5, 1, 2, 4), disks: fc.integer({ min: 1, max: 20 }), hasData: fc.boolean(), current: fc.constantFrom(undefined, 'qemu' as const, 'uml' as const),
    learnt: fc.option(fc.record({ codeSeconds: fc.double({ min: 0, max: 1e6, noNaN: true }), calls: fc.nat(), forks: fc.nat() }), { nil: undefined }),
  });
  fc.assert(fc.property(asks, offers, (wanted, offered) => {
    const choice = chooseServiceEngine(wanted, offered);
    deepEqual(chooseServiceEngine(wanted, [...offered].reverse()).engine, choice.engine);
    if (choice.engine === null) {
      ok(offered.every((one) => one.architecture !== wanted.architecture || (wanted.engine !== 'auto' && one.engine !== wanted.engine) || choice.refusals.some((refused) => refused.engine === one.engine && refused.why !== '')), 'each that was left out has its reason');
      return;
    }
    const taken = offered.find((one) => one.engine === choice.engine && one.architecture === wanted.architecture);
    ok(taken !== undefined && taken.broken === '' && taken.maxDisks >= wanted.disks && taken.maxProcessors >= (wanted.cpus ?? 0));
    ok(wanted.engine === 'auto' || wanted.engine === choice.engine);
    const least = wanted.leastIsolation ?? (wanted.engine === 'auto' ? 'emulated' : 'process');
    ok(isolations.indexOf(taken.isolation) >= isolations.indexOf(least));
    ok(choice.why !== '');
  }), { numRuns: 2000 });
});

test('[V33] what was counted under one engine tells what the same work costs under another', () => {
  for (const engine of ['qemu', 'uml'] as const) {
    for (const workload of ['compute', 'requests'] as const) {
      const mix = mixOf[workload];
      const times = 100;
      const cost = usualCosts[engine];
      const native = usualCosts.uml.stepNanos;
      const code = mix.codeSeconds * (cost.stepNanos / native) * 1e9 * times;
      const learnt = learnMix([{ userNanos: code / 2, systemNanos: code / 2 + mix.calls * times * cost.callNanos, calls: mix.calls * times }], cost, native);
      ok(learnt !== undefined);
      for (const other of ['qemu', 'uml'] as const) {
        const ratio: number = secondsOf(learnt, usualCosts[other], native) / (secondsOf(mix, usualCosts[other], native) * times);
        ok(Math.abs(ratio - 1) < 0.01, `${workload} learnt under ${engine}, judged for ${other}: ${ratio}`);
      }
    }
  }
  equal(learnMix([{ userNanos: 1e9, systemNanos: 1e9, calls: 5 }], usualCosts.qemu, 1000), undefined, 'two seconds tell nothing');
  equal(learnMix([], usualCosts.qemu, 1000), undefined);
});
