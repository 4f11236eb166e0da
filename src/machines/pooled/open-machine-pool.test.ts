/** The pool with engines that join and leave: one share of the memory for all, one made at a time. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog, systemClock, waitUntil, type Clock } from '#base';
import { openMachinePool, type MachinePool } from './open-machine-pool.ts';
import type { PooledMember, PoolSource } from './pool-shelf.ts';
import type { HostMemory } from './read-host-memory.ts';

const MiB = 1024 * 1024;
const plenty: HostMemory = { availableBytes: 8192 * MiB, totalBytes: 16_384 * MiB, stalledPercent: 0 };

/** Members are nothing but records here; whoever makes and ends real ones is tested with real guests. */
function sourceOf(engine: 'qemu' | 'uml', heldBytes: number) {
  const events: string[] = [];
  const gate = { open: Promise.resolve() };
  let made = 0;
  const source: PoolSource<string, PooledMember> = {
    engine,
    factsOf: (key) => ({ key, architecture: 'x86_64', accelerator: 'none', processors: 1, memoryMiB: 128, scratchMiB: 0, card: false }),
    prospectOf: async () => ({
      expectedBytes: heldBytes,
      async make(signal) {
        events.push('making');
        await gate.open;
        signal.throwIfAborted();
        made += 1;
        events.push('made');
        return { id: `${engine}-${made}`, heldBytes, madeMs: 1, watch: { promise: new Promise<never>(() => undefined), stop: () => undefined } };
      },
    }),
    end: async ({ id }) => { events.push(`ended ${id}`); },
  };
  return { source, events, gate };
}

/** It looks often. */
const clock: Clock = { ...systemClock, wait: (milliseconds, signal) => systemClock.wait(Math.min(milliseconds, 10), signal) };
const poolOf = (memory: () => HostMemory = () => plenty): MachinePool => openMachinePool({ clock, log: silentLog, perShape: 1, delayMs: 0, memory: async () => memory() });

/** A start that found nothing; the pool wakes when it ends. */
function startOne(part: { take(shape: string): PooledMember | undefined; startBegins(): () => void }): PooledMember | undefined {
  const ends = part.startBegins();
  const taken = part.take('small');
  ends();
  return taken;
}

test('[U17] two engines have one share of the memory: what one holds the other has not', async (t) => {
  let memory = plenty;
  const [one, other] = [sourceOf('qemu', 500 * MiB), sourceOf('uml', 500 * MiB)];
  const pool = poolOf(() => memory);
  const [first, second] = [pool.join(one.source), pool.join(other.source)];
  t.after(() => Promise.all([first.close(), second.close()]));
  equal(startOne(first), undefined);
  await waitUntil(() => first.list()[0]?.ready === 1, { what: 'the first is filled', limitMs: 5000 });
  memory = { ...plenty, availableBytes: plenty.availableBytes - 500 * MiB };
  equal(startOne(second), undefined);
  // The latest shape comes first: what is there of the other is ended, then there is room.
  await waitUntil(() => second.list()[0]?.ready === 1, { what: 'the second is filled', limitMs: 5000 });
  deepEqual([first.list()[0]?.ready, one.events.at(-1)], [0, 'ended qemu-1']);
  equal(first.list()[0]?.why, 'pooled machines have used up their share of memory');
  deepEqual([first.list().map(({ engine }) => engine), second.list().map(({ engine }) => engine)], [['qemu'], ['uml']]);
});

test('[U17] while a machine of one engine is started none is made of the other', async (t) => {
  const [one, other] = [sourceOf('qemu', MiB), sourceOf('uml', MiB)];
  const pool = poolOf();
  const [first, second] = [pool.join(one.source), pool.join(other.source)];
  t.after(() => Promise.all([first.close(), second.close()]));
  const ends = first.startBegins();
  startOne(second);
  await waitUntil(() => second.list()[0]?.why !== '' || second.list()[0]?.ready === 1, { what: 'it says why not', limitMs: 5000 });
  deepEqual([second.list()[0]?.why, other.events], ['machines are being started', []]);
  ends();
  await waitUntil(() => second.list()[0]?.ready === 1, { what: 'then one is made', limitMs: 5000 });
});

test('[U17] an engine that leaves ends what is its own, waits for what is being made, and leaves the other\'s alone', async (t) => {
  const [one, other] = [sourceOf('qemu', MiB), sourceOf('uml', MiB)];
  const pool = poolOf();
  const [first, second] = [pool.join(one.source), pool.join(other.source)];
  t.after(() => Promise.all([first.close(), second.close()]));
  startOne(first);
  await waitUntil(() => first.list()[0]?.ready === 1, { what: 'the first is filled', limitMs: 5000 });
  const { promise, resolve } = Promise.withResolvers<void>();
  other.gate.open = promise;
  startOne(second);
  await waitUntil(() => other.events.includes('making'), { what: 'the second is being made', limitMs: 5000 });
  const left = second.close();
  resolve();
  await left;
  deepEqual([other.events, second.list()], [['making'], []], 'called off');
  equal(startOne(second), undefined, 'nobody takes anything from it any more');
  deepEqual([first.list()[0]?.ready, one.events], [1, ['making', 'made']]);
  equal(startOne(first)?.id, 'qemu-1', 'the other goes on');
  await waitUntil(() => first.list()[0]?.ready === 1, { what: 'and is filled again', limitMs: 5000 });
  await first.close();
  ok(one.events.includes('ended qemu-2'));
});
