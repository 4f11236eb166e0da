/** What a back end needs next, for every state of it and its machine. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { blankStatus, endedByItself, foundRunning, unreachable, type Backend, type BackendStatus } from './backend.ts';
import { planBackend, type BackendsMachine, type BackendSeen } from './plan-backend.ts';

const backend: Backend = { id: 'mabc-data', machineId: 'mabc', memoryMiB: 256, disk: { serial: 'data', path: '/d', format: 'raw', readOnly: false, backend: 'vhost-user' } };
const runs: BackendsMachine = { wanted: true, live: true, vmmSeen: true, startedAt: 500, connectsAgain: true };
const comes: BackendsMachine = { ...runs, vmmSeen: false };
const seen = (more: Partial<BackendSeen>): BackendSeen => ({ backend, status: { ...blankStatus(backend.id), phase: 'running' }, found: 'running', machine: runs, awaited: undefined, now: 1000, ...more });
const failed = (failures: number): BackendStatus => ({ ...blankStatus(backend.id), phase: 'failed', endedAt: 1000, failures });

test('[BE3] it lives as long as its machine, is started again under one that runs, and goes with one that is removed', () => {
  deepEqual(planBackend(seen({})), { do: 'nothing' });
  deepEqual(planBackend(seen({ found: 'gone', status: failed(1) })), { do: 'start' });
  deepEqual(planBackend(seen({ machine: { ...runs, live: false, wanted: false } })), { do: 'end' });
  deepEqual(planBackend(seen({ machine: { ...runs, live: false } })), { do: 'nothing' }, 'between two starts of its machine it stays');
  deepEqual(planBackend(seen({ found: 'gone', status: failed(1), machine: { ...runs, live: false } })), { do: 'nothing' }, 'the machine\'s start starts it');
  deepEqual(planBackend(seen({ found: 'gone', status: blankStatus(backend.id), machine: { ...runs, live: false, wanted: false } })), { do: 'nothing' }, 'ended once');
  deepEqual(planBackend(seen({ machine: undefined })), { do: 'remove' });
  deepEqual(planBackend(seen({ found: 'unknown' })), { do: 'wait', forMs: 1000 });
  deepEqual(planBackend(seen({ backend: { ...backend, restartToken: 'again' } })), { do: 'restart' });
});

test('[BE4] a machine that cannot connect again is ended, never left with a dead disk', () => {
  deepEqual(planBackend(seen({ found: 'gone', status: failed(1), machine: { ...runs, connectsAgain: false } })), { do: 'endMachine', why: 'ended' });
});

test('[BE4] a machine that is being started has lost nothing: its start starts its back ends, once', () => {
  const before: BackendStatus = { ...blankStatus(backend.id), startedAt: 100, endedAt: 400 };
  for (const status of [undefined, blankStatus(backend.id), before, { ...failed(1), startedAt: 100 }]) {
    for (const connectsAgain of [true, false]) deepEqual(planBackend(seen({ found: 'gone', status, machine: { ...comes, connectsAgain } })), { do: 'nothing' }, JSON.stringify([status, connectsAgain]));
  }
  deepEqual(planBackend(seen({ machine: comes })), { do: 'nothing' });
  const ofThisRun = { ...failed(1), startedAt: 600 };
  deepEqual(planBackend(seen({ found: 'gone', status: ofThisRun, machine: comes })), { do: 'start' }, 'a VMM may wait for it already');
  deepEqual(planBackend(seen({ found: 'gone', status: ofThisRun, machine: { ...comes, connectsAgain: false } })), { do: 'nothing' }, 'there is no VMM to end yet');
  deepEqual(planBackend(seen({ found: 'gone', status: ofThisRun, machine: { ...runs, connectsAgain: false } })), { do: 'endMachine', why: 'ended' }, 'as soon as there is');
});

test('[BE4] a machine whose VMM does not find its back end again is ended; one of which nobody can tell is not', () => {
  const after = (sinceMs: number, reached: boolean | undefined) => planBackend(seen({ awaited: { sinceMs, reached } }));
  deepEqual([after(0, true), after(60_000, true)], [{ do: 'found' }, { do: 'found' }]);
  deepEqual([after(0, false), after(3000, false), after(9999, false)].map(({ do: step }) => step), ['wait', 'wait', 'wait'], 'QEMU looks for it each second');
  deepEqual(after(10_000, false), { do: 'endMachine', why: 'lost' });
  deepEqual([after(0, undefined), after(10_000, undefined), after(1e9, undefined)], [{ do: 'wait', forMs: 500 }, { do: 'wait', forMs: 2500 }, { do: 'wait', forMs: 30_000 }]);
});

test('[BE5] one that dies again and again is started after longer and longer pauses', () => {
  const pauses = [1, 2, 3, 4, 20].map((failures) => planBackend(seen({ found: 'gone', status: failed(failures) })));
  deepEqual(pauses, [{ do: 'start' }, { do: 'wait', forMs: 500 }, { do: 'wait', forMs: 1000 }, { do: 'wait', forMs: 2000 }, { do: 'wait', forMs: 30_000 }]);
  deepEqual(planBackend(seen({ found: 'gone', status: failed(20), now: -100_000 })), { do: 'wait', forMs: 30_000 }, 'also where the clock was set back');
  const status: BackendStatus = { ...blankStatus(backend.id), phase: 'running', process: { bootId: 'b', pid: 9, startTicks: 1 }, startedAt: 0, failures: 3 };
  deepEqual(endedByItself(status, 'how', 10_000).failures, 0, 'one that ran well has no bad start');
  deepEqual(endedByItself(endedByItself(status, 'how', 5000), 'how', 6000), endedByItself(status, 'how', 5000), 'twice as once');
});

test('[BE3] one that is found is told as it is, whatever an earlier daemon had no time to write', () => {
  const process = { bootId: 'b', pid: 9, startTicks: 1 };
  const found = foundRunning(failed(1), process, 7);
  deepEqual([found.phase, found.why, found.process, found.startedAt], ['running', '', process, 7]);
  equal(foundRunning(found, process, 8), found, 'twice as once');
  const lost = unreachable(found, 'it hangs');
  deepEqual([lost.phase, lost.why, lost.process], ['unknown', 'it hangs', process]);
  equal(unreachable(lost, 'it hangs'), lost);
  deepEqual(foundRunning(lost, process, 9), { ...found });
});
