/** A session let go of at the worst moment, and one whose line is deaf. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { duplexPair, type Duplex } from 'node:stream';
import { test } from 'node:test';
import { silentLog, systemClock, systemDice, waitUntil } from '#base';
import { fakeWorld, openFakeEngine } from './fake/index.ts';
import { machinePolicy } from './machine-policy.ts';
import { openMachineSession } from './machine-session.ts';
import { testMachine } from './testing/test-daemon.ts';

test('[M30] let go of while the guest\'s first answer is recorded, a session ends', { timeout: 10_000 }, async () => {
  const world = fakeWorld();
  const spec = testMachine();
  const machine = await openFakeEngine({ world }).start(spec);
  const asked = Promise.withResolvers<void>();
  const recorded = Promise.withResolvers<void>();
  const nothing = async (): Promise<void> => undefined;
  const session = openMachineSession({
    machine, spec, knownGuestBootId: null, paused: false, clockStale: false, policy: machinePolicy, clock: systemClock, dice: systemDice, log: silentLog,
    listener: { answered: () => { asked.resolve(); return recorded.promise; }, troubled: nothing, recovered: nothing, ended: nothing },
  });
  await asked.promise;
  let over = false;
  const released = session.release().then(() => { over = true; });
  equal(over, false);
  recorded.resolve();
  await released;
  world.end(spec.id);
});

test('[M68] a line on which a guest that was heard before says nothing is opened anew soon, not after the time a boot may take', { timeout: 10_000 }, async () => {
  const world = fakeWorld();
  const spec = testMachine();
  const machine = await openFakeEngine({ world }).start(spec);
  const nothing = async (): Promise<void> => undefined;
  const [silent, far] = duplexPair();
  silent.on('close', () => far.destroy());
  let opened = 0;
  const session = openMachineSession({
    machine: { ...machine, exited: machine.exited, openAgentLine: async () => { opened += 1; return opened === 1 ? silent : machine.openAgentLine(); } },
    spec, knownGuestBootId: 'a boot', paused: false, clockStale: false, policy: machinePolicy, clock: systemClock, dice: systemDice, log: silentLog,
    listener: { answered: nothing, troubled: nothing, recovered: nothing, ended: nothing },
  });
  try {
    await session.agent(5000);
    equal(opened, 2);
    ok(silent.destroyed);
  } finally {
    await session.release();
    world.end(spec.id);
  }
});

test('[M69] a guest that is out of step with its line is reached again on another, without a word that it had recovered before', { timeout: 10_000 }, async () => {
  const world = fakeWorld();
  const spec = testMachine();
  const machine = await openFakeEngine({ world }).start(spec);
  const told: string[] = [];
  let [opened, deaf] = [0, false];
  /** As where its last frame was never finished: what it says from now on is taken for the rest of that. */
  const openAgentLine = async (): Promise<Duplex> => {
    opened += 1;
    if (opened > 1) return machine.openAgentLine();
    const [ours, near] = duplexPair();
    const far = await machine.openAgentLine();
    far.on('data', (chunk: Buffer) => { if (!deaf) near.write(chunk); });
    near.on('data', (chunk: Buffer) => { far.write(chunk); });
    ours.on('close', () => far.destroy());
    return ours;
  };
  const session = openMachineSession({
    machine: { ...machine, exited: machine.exited, openAgentLine }, spec, knownGuestBootId: null, paused: false, clockStale: false, policy: { ...machinePolicy, lookEveryMs: 20, answerLimitMs: 100, silentLimitMs: 900 },
    clock: systemClock, dice: systemDice, log: silentLog,
    listener: { answered: async () => { told.push('answered'); }, troubled: async (why) => { told.push(why); }, recovered: async () => { told.push('recovered'); }, ended: async () => undefined },
  });
  try {
    await session.agent(5000);
    deaf = true;
    await waitUntil(() => opened === 2, { what: 'the line is opened anew', limitMs: 5000 });
    await (await session.agent(5000)).call('ping', {});
    deepEqual(told.filter((one) => !one.includes('cannot be opened')), ['answered', 'its guest\'s agent does not answer', 'answered']);
  } finally {
    await session.release();
    world.end(spec.id);
  }
});
