/** The planner as a table, and as properties over random histories against a world that is only rules. */
import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkMachinePlan } from './check-machine-plan.ts';
import { chooseEngine, type EngineCandidate, type EngineChoice } from './choose-engine.ts';
import type { EngineCapabilities, StartedBy, VmmExit } from './engine.ts';
import type { MachineSpec } from './machine.ts';
import { machinePolicy as policy } from './machine-policy.ts';
import { startPause } from './machine-run.ts';
import * as states from './machine-states.ts';
import { planMachine, type MachineSeen, type VmmRunning, type VmmSeen } from './plan-machine.ts';

const id = 'maaaaaaaaaa';
const spec: MachineSpec = {
  id, name: 'web', architecture: 'x86_64', engine: 'auto', processors: 1, memoryMiB: 256, boot: { kind: 'guest-os' }, scratchMiB: 0, disks: [],
  network: { mac: '02:00:00:00:00:01', address: '10.88.0.5' }, wanted: 'running', owner: null, createdAt: 1, generation: 1,
};
const engine: EngineChoice = { chosen: 'qemu', why: '' };
const process = { bootId: 'b', pid: 5, startTicks: 6 };
const hello = { nonce: '', protocol: 1, agentVersion: '1', bootId: 'g', kernel: '6', architecture: 'x86_64', uptimeMs: 1 };
const none = { status: undefined, run: undefined };
const started = states.found(states.starting(none, spec, { engine: 'qemu', why: '' }, 1000), { process, accelerator: 'tcg', isolation: 'emulated' });
const running = states.answered(started, hello, 3000);
const exit = { code: null, signal: 'SIGKILL', stderr: '', at: 5000 };
const dead = states.ended(running, { exit, spec, hostRebooted: false, now: 5000, policy });
const up = (change: Partial<VmmRunning> = {}): VmmSeen => ({ state: 'running', agent: 'ready', knownMs: 5000, paused: false, trouble: null, stoppingMs: null, ...change });
const seen = (change: Partial<MachineSeen>): MachineSeen => ({ spec, status: undefined, run: undefined, vmm: { state: 'none' }, engine, now: 10_000, ...change });
const stopped = { ...spec, wanted: 'stopped' as const };
const paused = { ...spec, wanted: 'paused' as const };
const suspended = { ...spec, wanted: 'suspended' as const };
const still = states.paused(running);
const writtenDown = states.ended(states.stopping(running, 'it is being suspended'), { exit: { ...exit, code: 0, signal: null }, spec: suspended, hostRebooted: false, now: 5000, policy });

test('[M17] the status says how its machine came to run, and why so, as long as it runs', () => {
  deepEqual([started.status?.startedBy, running.status?.startedBy], [{ way: 'cold', why: '' }, { way: 'cold', why: '' }]);
  const startedBy = { way: 'template', why: '' } as const;
  const cloned = states.found(states.starting(none, spec, { engine: 'qemu', why: '' }, 1000), { process, accelerator: 'tcg', isolation: 'emulated', startedBy });
  deepEqual(states.answered(cloned, hello, 3000).status?.startedBy, startedBy);
  equal(states.ended(cloned, { exit, spec, hostRebooted: false, now: 5000, policy }).status?.startedBy, null);
});

test('[M31] what became of the memory that a start used up is told by the starts after it, until a guest has answered', () => {
  const begin = (before: states.MachineRecords) => states.starting(before, spec, { engine: 'qemu', why: '' }, 1000);
  const foundAs = (before: states.MachineRecords, startedBy: StartedBy) => states.found(begin(before), { process, accelerator: 'tcg', isolation: 'emulated', startedBy });
  const told = (records: states.MachineRecords) => states.found(begin(records), { process: { ...process, pid: process.pid + 1 }, accelerator: 'tcg', isolation: 'emulated', startedBy: { way: 'cold', why: '' } }).status?.startedBy?.why;
  const end = { exit, spec, hostRebooted: false, now: 5000, policy };
  for (const way of ['snapshot', 'suspended'] as const) {
    const wentOn = foundAs(none, { way, why: '' });
    equal(wentOn.status?.startedBy?.why, '');
    const undone = states.ended(states.startUndone(wentOn, 'a step failed', 2000), end);
    const lost = 'it had gone on from memory, and that start came to nothing: a step failed';
    equal(told(undone), lost);
    equal(told(states.ended(foundAs(undone, { way: 'cold', why: '' }), end)), lost, 'also after a boot that failed');
    equal(foundAs(undone, { way: 'cold', why: 'its own reason' }).status?.startedBy?.why, 'its own reason');
    equal(foundAs(undone, { way, why: '' }).status?.startedBy?.why, '', 'other memory was put there');
    match(told(states.ended(wentOn, end)) ?? '', /came to nothing: its VMM was ended by /);
    equal(told(states.ended(states.answered(wentOn, hello, 3000), end)), '', 'it had gone on');
    equal(told(states.ended(states.answered(foundAs(undone, { way: 'cold', why: '' }), hello, 3000), end)), '', 'told long enough');
    deepEqual(states.startUndone(undone, 'again', 2000), undone);
  }
});

const table: readonly (readonly [string, MachineSeen, readonly string[]])[] = [
  ['never started', seen({}), ['start']],
  ['without a network', seen({ spec: { ...spec, network: null } }), ['start']],
  ['wished stopped', seen({ spec: stopped }), []],
  ['no engine', seen({ engine: { chosen: null, refusals: [] } }), []],
  ['boots', seen({ ...started, vmm: up({ agent: 'awaited' }) }), []],
  ['boots for too long', seen({ ...started, vmm: up({ agent: 'awaited', knownMs: policy.bootLimitMs }) }), ['kill']],
  ['runs', seen({ ...running, vmm: up() }), []],
  ['runs, the line is being opened again', seen({ ...running, vmm: up({ agent: 'awaited' }) }), []],
  ['died, its pause not over', seen({ ...dead, now: 5500 }), []],
  ['died, its pause over', seen({ ...dead, now: 6000 }), ['start']],
  ['to be stopped', seen({ ...running, spec: stopped, vmm: up() }), ['powerOff']],
  ['to be stopped while it boots', seen({ ...started, spec: stopped, vmm: up({ agent: 'awaited' }) }), ['kill']],
  ['to be stopped while the line is opened again', seen({ ...running, spec: stopped, vmm: up({ agent: 'awaited' }) }), []],
  ['powers off', seen({ ...running, spec: stopped, vmm: up({ stoppingMs: 100 }) }), []],
  ['does not power off', seen({ ...running, spec: stopped, vmm: up({ stoppingMs: policy.stopGraceMs }) }), ['kill']],
  ['a disk of its own to be stopped', seen({ ...running, spec: stopped, vmm: up({ agent: 'none' }) }), ['powerOff']],
  ['to be paused', seen({ ...running, spec: paused, vmm: up() }), ['pause']],
  ['to be paused while it boots', seen({ ...started, spec: paused, vmm: up({ agent: 'awaited' }) }), []],
  ['to be paused, silent', seen({ ...running, spec: paused, vmm: up({ trouble: { what: 'vmm', forMs: 1, why: 'silent' } }) }), []],
  ['is paused', seen({ ...still, spec: paused, vmm: up({ paused: true }) }), []],
  ['is paused, its line not open', seen({ ...still, spec: paused, vmm: up({ paused: true, agent: 'awaited', knownMs: 1e9 }) }), []],
  ['to go on', seen({ ...still, vmm: up({ paused: true }) }), ['resume']],
  ['paused, to be stopped', seen({ ...still, spec: stopped, vmm: up({ paused: true }) }), ['resume']],
  ['paused, deleted', seen({ ...still, spec: undefined, vmm: up({ paused: true }) }), ['resume']],
  ['paused, restart asked', seen({ ...still, spec: { ...spec, restartToken: 'a' }, vmm: up({ paused: true }) }), ['resume']],
  ['paused, and its VMM is gone', seen({ ...dead, spec: paused, now: 6000 }), []],
  ['to be suspended', seen({ ...running, spec: suspended, vmm: up() }), ['suspend']],
  ['to be suspended while it boots', seen({ ...started, spec: suspended, vmm: up({ agent: 'awaited' }) }), []],
  ['to be suspended while it is paused', seen({ ...still, spec: suspended, vmm: up({ paused: true }) }), ['suspend']],
  ['suspended', seen({ ...writtenDown, spec: suspended, suspended: { why: '' } }), []],
  ['suspended, to go on', seen({ ...writtenDown }), ['start']],
  ['suspended, deleted', seen({ ...writtenDown, spec: undefined }), ['erase', 'removeTap', 'forget']],
  ['restart asked', seen({ ...running, spec: { ...spec, restartToken: 'a' }, vmm: up() }), ['powerOff']],
  ['restart asked while its pause is not over', seen({ ...dead, now: 5500, spec: { ...spec, restartToken: 'a' } }), ['start']],
  ['hung', seen({ ...running, vmm: up({ trouble: { what: 'vmm', forMs: 1000, why: 'silent' } }) }), []],
  ['hung for too long', seen({ ...running, vmm: up({ trouble: { what: 'vmm', forMs: policy.hungLimitMs, why: 'silent' } }) }), ['kill']],
  ['its guest silent, its VMM not', seen({ ...running, vmm: up({ trouble: { what: 'agent', forMs: policy.hungLimitMs, why: 'silent' } }) }), []],
  ['unreachable', seen({ ...running, vmm: { state: 'unknown', why: '?', forMs: 5000, canEnd: true } }), []],
  ['unreachable for too long', seen({ ...running, vmm: { state: 'unknown', why: '?', forMs: policy.hungLimitMs, canEnd: true } }), ['endProcess']],
  ['unreachable, its process not known', seen({ ...running, vmm: { state: 'unknown', why: '?', forMs: 1e9, canEnd: false } }), []],
  ['deleted, unreachable', seen({ ...running, spec: undefined, vmm: { state: 'unknown', why: '?', forMs: policy.unreachableGraceMs, canEnd: true } }), ['endProcess']],
  ['deleted, runs', seen({ ...running, spec: undefined, vmm: up() }), ['powerOff']],
  ['deleted, gone', seen({ ...dead, spec: undefined }), ['erase', 'removeTap', 'forget']],
  ['deleted, never started', seen({ spec: undefined, status: states.blankStatus(id) }), ['erase', 'removeTap', 'forget']],
  ['deleted and forgotten', seen({ spec: undefined }), []],
];
for (const [what, one, kinds] of table) {
  test(`[M10] plan: ${what}`, () => {
    const plan = planMachine(id, one, policy);
    deepEqual(plan.operations.map((operation) => operation.kind), kinds.map((kind) => `machine.${kind}`));
    checkMachinePlan(plan, one);
    if (one.vmm.state === 'unknown' || (one.vmm.state === 'running' && one.vmm.trouble !== null && kinds.length === 0)) equal(plan.settle?.phase, 'unknown');
  });
}

test('[M18] a machine that is paused is settled as such, whatever its last daemon wrote; one that goes on, too', () => {
  equal(planMachine(id, seen({ ...running, spec: paused, vmm: up({ paused: true }) }), policy).settle?.phase, 'paused');
  equal(planMachine(id, seen({ ...still, vmm: up() }), policy).settle?.phase, 'running');
  equal(planMachine(id, seen({ ...still, vmm: up({ agent: 'awaited' }) }), policy).settle, null, 'its clock may be wrong still');
  deepEqual([states.found(still, { process, accelerator: 'tcg', isolation: 'emulated' }).status?.phase, states.resumed(still).status?.phase], ['paused', 'running']);
  const gone = states.ended(still, { exit, spec: paused, hostRebooted: false, now: 5000, policy });
  const settled = planMachine(id, seen({ ...gone, spec: paused, now: 1e9 }), policy).settle;
  deepEqual(settled, { phase: 'failed', why: 'its VMM was ended by SIGKILL' }, 'to boot it is another wish');
});

test('[M29] one wished suspended is settled by what is kept of it, and a wish to run starts it without a pause', () => {
  const settled = (kept: MachineSeen['suspended'], records: states.MachineRecords = writtenDown) => planMachine(id, seen({ ...records, spec: suspended, suspended: kept }), policy).settle;
  deepEqual(settled({ why: '' }), { phase: 'suspended', why: '' });
  deepEqual(settled({ why: 'its disk is gone' }), { phase: 'suspended', why: 'its disk is gone' });
  deepEqual(settled(undefined), { phase: 'failed', why: 'its VMM ended before its memory was written down' });
  const crashed = states.ended(running, { exit, spec: suspended, hostRebooted: false, now: 5000, policy });
  deepEqual(settled(undefined, crashed), { phase: 'failed', why: 'its VMM was ended by SIGKILL' });
  deepEqual([writtenDown.run?.end, writtenDown.run?.failures, states.starting(writtenDown, spec, { engine: 'qemu', why: '' }, 6000).run?.restarts], ['wished', 0, 0]);
  const goesOn = states.goesOn(states.stopping(running, 'it is being suspended'), 'the disk is full');
  deepEqual([goesOn.status?.phase, goesOn.status?.why], ['running', 'the disk is full']);
  const suspend = planMachine(id, seen({ ...running, spec: suspended, vmm: up() }), policy);
  throws(() => checkMachinePlan(suspend, seen({ ...running, vmm: up() })), { code: 'machine.badPlan' });
});

test('[M11] a plan that would break an invariant is refused before anything is done', () => {
  const start = planMachine(id, seen({}), policy);
  throws(() => checkMachinePlan(start, seen({ ...running, vmm: up() })), { code: 'machine.badPlan' });
  throws(() => checkMachinePlan(start, seen({ vmm: { state: 'unknown', why: '', forMs: 0, canEnd: true } })), { code: 'machine.badPlan' });
  throws(() => checkMachinePlan(start, seen({ spec: stopped })), { code: 'machine.badPlan' });
  throws(() => checkMachinePlan(start, seen({ spec: paused })), { code: 'machine.badPlan' });
  const pause = planMachine(id, seen({ ...running, spec: paused, vmm: up() }), policy);
  throws(() => checkMachinePlan(pause, seen({ ...running, vmm: up() })), { code: 'machine.badPlan' });
  throws(() => checkMachinePlan(pause, seen({ ...dead, spec: paused })), { code: 'machine.badPlan' });
  const removal = planMachine(id, seen({ ...dead, spec: undefined }), policy);
  throws(() => checkMachinePlan(removal, seen({ ...running, spec: undefined, vmm: up() })), { code: 'machine.badPlan' });
  throws(() => checkMachinePlan(removal, seen({ ...dead })), { code: 'machine.badPlan' });
});

test('[M12] the pause doubles from one second to five minutes, and is forgotten after a minute that went well', () => {
  let records = running;
  const pauses: number[] = [];
  for (let round = 0; round < 11; round += 1) {
    records = states.ended(records, { exit: { ...exit, at: 5000 }, spec, hostRebooted: false, now: 5000, policy });
    pauses.push(startPause(records.run, 5000, policy) / 1000);
    records = states.answered(states.starting(records, spec, { engine: 'qemu', why: '' }, 4000), hello, 4500);
  }
  deepEqual(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
  const well = states.ended(records, { exit: { ...exit, at: 4500 + policy.wellAfterMs }, spec, hostRebooted: false, now: 0, policy });
  equal(well.run?.failures, 1);
  equal(startPause({ ...well.run as NonNullable<typeof well.run>, endedAt: 1e15 }, 5000, policy), 1000, 'a clock set back makes no pause longer');
  equal(states.ended(running, { exit: null, spec, hostRebooted: true, now: 5000, policy }).run?.failures, 0, 'the host was restarted');
});

test('[M4] an end is told by its reason: what was wrong before it, the last words that say something, a guest that never answered', () => {
  const told = (before: states.MachineRecords, how: Partial<VmmExit> | null) => {
    const after = states.ended(before, { exit: how === null ? null : { ...exit, ...how }, spec, hostRebooted: false, now: 5000, policy });
    return [after.status?.phase, after.status?.why, after.run?.end, after.run?.failures];
  };
  const well = { code: 0, signal: null };
  const early = 'Core dump limits :\n\tsoft - 0\n\thard - 0\nChecking that ptrace can change system call numbers...OK\nChecking environment variables for a tempdir...none found\nFailed to get host CPU features\nAdding 743268352 bytes to physical memory to account for exec-shield gap\n';
  const lost = states.troubled(running, 'the back end of its disk vd has ended');
  deepEqual(told(lost, { stderr: early }), ['failed', 'the back end of its disk vd has ended; its VMM was ended by SIGKILL', 'failure', 1]);
  deepEqual(told(lost, null), ['failed', 'the back end of its disk vd has ended; its VMM ended, nobody saw how', 'failure', 1]);
  deepEqual(told(lost, well), ['stopped', 'the guest switched itself off', 'failure', 1], 'another end than the one that was to come');
  deepEqual(told(lost, { signal: 'SIGSEGV', stderr: 'it broke' }), ['failed', 'its VMM was ended by SIGSEGV: it broke', 'failure', 1]);
  deepEqual(told(states.recovered(lost), {}), ['failed', 'its VMM was ended by SIGKILL', 'failure', 1], 'what is over is no reason');
  deepEqual(told(running, { stderr: early }), ['failed', 'its VMM was ended by SIGKILL', 'failure', 1], 'what each UML says first are no last words');
  deepEqual(told(running, { code: 1, signal: null, stderr: `${early}no space\n\n` }), ['failed', 'its VMM ended with exit code 1: no space', 'failure', 1]);
  deepEqual(told(running, { ...well, stderr: 'anything' }), ['stopped', 'the guest switched itself off', 'failure', 1]);
  deepEqual(told(started, well), ['failed', 'its guest ended before it answered; see `strata machine logs web`', 'failure', 1], 'as a kernel does that panics');
  const ownDisk = { ...started, run: started.run === undefined ? undefined : { ...started.run, spec: { ...spec, boot: { kind: 'disk' as const } } } };
  deepEqual(told(ownDisk, well), ['stopped', 'the guest switched itself off', 'failure', 1], 'one without our agent never answers');
});

test('[M13] auto takes the first engine that can; a refusal names each engine and why', () => {
  const qemu: EngineCapabilities = { name: 'qemu', architectures: ['x86_64', 'aarch64'], hotplugDisks: true, maxDisks: 20, maxProcessors: 8, ownDisks: true, pause: false, suspend: false, snapshot: false };
  const uml: EngineCapabilities = { ...qemu, name: 'uml', architectures: ['x86_64'], maxProcessors: 1, ownDisks: false };
  const both = [{ capabilities: qemu, proofs: undefined }, { capabilities: uml, proofs: undefined }];
  equal(chooseEngine(spec, both).chosen, 'qemu');
  equal(chooseEngine({ ...spec, engine: 'uml' }, both).chosen, 'uml');
  const refused = chooseEngine({ ...spec, processors: 9 }, both);
  deepEqual(refused.chosen === null && refused.refusals.map((one) => one.engine), ['qemu', 'uml']);
  equal(chooseEngine({ ...spec, engine: 'fake' }, both).chosen, null);
  deepEqual(chooseEngine(spec, [{ capabilities: { ...qemu, architectures: [] }, proofs: undefined }]), { chosen: null, refusals: [{ engine: 'qemu', why: 'its programs are not installed' }] });
  const roomy = [{ capabilities: { ...qemu, leastMemoryMiB: { x86_64: 80 } }, proofs: undefined }, both[1] as EngineCandidate];
  const small = chooseEngine({ ...spec, memoryMiB: 64 }, roomy.slice(0, 1));
  ok(small.chosen === null);
  deepEqual(small.refusals, [{ engine: 'qemu', why: 'our guest OS for x86_64 needs at least 80 MiB of memory, and 64 MiB are asked for' }]);
  equal(chooseEngine({ ...spec, memoryMiB: 64, engine: 'qemu' }, roomy).chosen, null);
  deepEqual([{ memoryMiB: 80 }, { memoryMiB: 64, architecture: 'aarch64' as const }, { memoryMiB: 64, boot: { kind: 'disk' as const } }].map((one) => chooseEngine({ ...spec, ...one }, roomy).chosen), ['qemu', 'qemu', 'qemu']);
  const failing = [{ capabilities: qemu, proofs: [{ architecture: 'x86_64' as const, accelerator: 'tcg' as const, works: false, evidence: 'no output within 5 s' }] }];
  const unproved = chooseEngine(spec, failing);
  ok(unproved.chosen === null && unproved.refusals[0]?.why.includes('no output within 5 s'));
});

/** What may happen between two looks. */
const event = fc.constantFrom('look', 'look', 'look', 'die', 'hang', 'heal', 'daemonDies', 'wishStopped', 'wishRunning', 'wishPaused', 'restart', 'delete', 'unreachable', 'time', 'answer');

test('[M14] what was told to power off ends, and is started again where it is wished back meanwhile; a daemon that does not know of it says that it runs', () => {
  const told = states.stopping(running, '');
  deepEqual(planMachine(id, seen({ ...told, vmm: up({ stoppingMs: 1 }) }), policy).waitingOn.map(({ why }) => why), ['it powers off']);
  deepEqual(planMachine(id, seen({ ...told, vmm: up({ stoppingMs: policy.stopGraceMs }) }), policy).operations.map(({ kind }) => kind), ['machine.kill']);
  const gone = states.ended(told, { exit, spec, hostRebooted: false, now: 5000, policy });
  deepEqual([gone.run?.end, gone.run?.failures], ['restart', 0]);
  equal(planMachine(id, seen({ ...gone, now: 5000 }), policy).operations.at(-1)?.kind, 'machine.start');
  deepEqual(planMachine(id, seen({ ...told, vmm: up() }), policy).settle, { phase: 'running', why: '' });
});

test('[M14] whatever happens: never a start without a proved end before it, and it converges', () => {
  fc.assert(fc.property(fc.array(event, { maxLength: 80 }), (events) => {
    const world = new PlannedWorld();
    for (const one of events) world.happen(one);
    world.calm();
    for (let round = 0; round < 60; round += 1) { world.happen('time'); world.happen('answer'); world.happen('look'); }
    equal(world.doubleStarts, 0);
    if (world.spec === undefined) deepEqual([world.alive, world.records.run, world.records.status, world.erased], [false, undefined, undefined, true]);
    else if (world.spec.wanted === 'paused') equal(world.paused, world.alive, JSON.stringify(world.records.status));
    else deepEqual([world.alive, world.paused], [world.spec.wanted === 'running', false], JSON.stringify(world.records.status));
    if (world.alive) equal(world.records.status?.phase, world.spec?.wanted);
    if (world.alive) equal(world.records.run?.restartToken, world.spec?.restartToken ?? null);
  }), { numRuns: 2000 });
});

/** The rest of the layer as a few rules: what the planner's operations do and what is then seen. */
class PlannedWorld {
  spec: MachineSpec | undefined = spec;
  records: states.MachineRecords = none;
  alive = false;
  doubleStarts = 0;
  erased = true;
  #now = 1000;
  #answers = false;
  paused = false;
  #known = false;
  #trouble = false;
  #troubleSince = 0;
  #reachable = true;
  #stoppingSince: number | null = null;
  #token = 0;

  happen(what: string): void {
    if (what === 'look') this.#look();
    else if (what === 'die') this.#die();
    else if (what === 'hang' && this.alive) { if (!this.#trouble) this.#troubleSince = this.#now; this.#trouble = true; }
    else if (what === 'heal') this.#trouble = false;
    else if (what === 'daemonDies') { this.#known = false; this.#stoppingSince = null; }
    else if (what === 'unreachable') { this.#reachable = false; this.#troubleSince = this.#now; }
    else if (what === 'time') this.#now += 120_000;
    else if (what === 'answer' && this.alive && this.#known && !this.paused) { this.#answers = true; this.records = states.answered(this.records, hello, this.#now); }
    else if (this.spec !== undefined) {
      if (what === 'wishStopped') this.spec = { ...this.spec, wanted: 'stopped' };
      else if (what === 'wishPaused') this.spec = { ...this.spec, wanted: 'paused' };
      else if (what === 'wishRunning') this.spec = { ...this.spec, wanted: 'running' };
      else if (what === 'restart') { this.#token += 1; this.spec = { ...this.spec, restartToken: String(this.#token) }; }
      else if (what === 'delete') this.spec = undefined;
    }
  }
  calm(): void { this.#trouble = false; this.#reachable = true; }

  #die(): void {
    if (!this.alive) return;
    this.alive = false;
    this.paused = false;
    this.#answers = false;
    this.#trouble = false;
    this.#stoppingSince = null;
  }
  #end(): void {
    this.#known = false;
    this.records = states.ended(this.records, { exit: { ...exit, at: this.#now }, spec: this.spec, hostRebooted: false, now: this.#now, policy });
  }
  #see(): VmmSeen {
    const { run } = this.records;
    if (!this.#known && run?.live !== true) return { state: 'none' };
    if (!this.alive) { this.#end(); return { state: 'none' }; }
    if (!this.#known && !this.#reachable) return { state: 'unknown', why: '?', forMs: this.#now - this.#troubleSince, canEnd: true };
    if (!this.#known) { this.#known = true; this.records = states.found(this.records, { process, accelerator: 'tcg', isolation: 'emulated' }); }
    return {
      state: 'running', agent: this.#answers ? 'ready' : 'awaited', knownMs: this.#answers ? 1 : 0, paused: this.paused,
      trouble: this.#trouble && !this.paused ? { what: 'vmm', forMs: this.#now - this.#troubleSince, why: 'silent' } : null, stoppingMs: this.#stoppingSince === null ? null : this.#now - this.#stoppingSince,
    };
  }
  #look(): void {
    const vmm = this.#see();
    const one: MachineSeen = { spec: this.spec, ...this.records, vmm, engine, now: this.#now };
    const plan = planMachine(id, one, policy);
    checkMachinePlan(plan, one);
    if (plan.settle !== null && this.spec !== undefined) this.records = states.settled(this.records, this.spec, plan.settle.phase, plan.settle.why);
    for (const { kind } of plan.operations) {
      if (kind === 'machine.start' && this.spec !== undefined) {
        if (this.alive) this.doubleStarts += 1;
        this.records = states.found(states.starting(this.records, this.spec, { engine: 'qemu', why: '' }, this.#now), { process, accelerator: 'tcg', isolation: 'emulated' });
        this.alive = true; this.#known = true; this.erased = false; this.#answers = false; this.#stoppingSince = null; this.#trouble = false;
      } else if (kind === 'machine.pause') { this.paused = true; this.records = states.paused(this.records); }
      else if (kind === 'machine.resume') { this.paused = false; this.records = states.resumed(this.records); }
      else if (kind === 'machine.powerOff') { this.#stoppingSince ??= this.#now; this.records = states.stopping(this.records, ''); }
      else if (kind === 'machine.kill' || kind === 'machine.endProcess') this.#die();
      else if (kind === 'machine.erase') this.erased = true;
      else if (kind === 'machine.forget') this.records = none;
    }
  }
}
