/** Placement: a table of cases, and properties for any hosts and wishes. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Host } from './host.ts';
import { firstTooLarge, freeOf, placeMachine, placementError, reservedMemoryMiB, TooLargeError, type PlacementRequest } from './place-machine.ts';
import { sampleHost } from './testing/sample-host.ts';

const request: PlacementRequest = { architecture: 'x86_64', processors: 2, memoryMiB: 512, diskBytes: 1024 ** 3, engine: 'auto' };
const gib = 1024 ** 3;

const cases: readonly [string, Partial<Host>, Partial<PlacementRequest>, string][] = [
  ['fits', {}, {}, ''],
  ['memory to the last MiB', {}, { memoryMiB: 8192 - 820 }, ''],
  ['one MiB too much', {}, { memoryMiB: 8192 - 819 }, 'memoryMiB'],
  ['what is promised is not free', { promised: { machines: 1, processors: 0, memoryMiB: 7000, diskBytes: 0 } }, {}, 'memoryMiB'],
  ['processors four times over', { promised: { machines: 1, processors: 14, memoryMiB: 0, diskBytes: 0 } }, {}, ''],
  ['and not more', { promised: { machines: 1, processors: 15, memoryMiB: 0, diskBytes: 0 } }, {}, 'processors'],
  ['disk', {}, { diskBytes: 90 * gib }, 'diskBytes'],
  ['draining', { state: 'draining' }, {}, 'state'],
  ['an architecture nobody proved', {}, { architecture: 'aarch64' }, 'engine'],
  ['an engine that is not there', {}, { engine: 'uml' }, 'engine'],
  ['a proof that failed is none', { proofs: [{ architecture: 'x86_64', engine: 'qemu', accelerator: 'kvm', works: false, evidence: 'hung' }] }, {}, 'engine'],
  ['everything at once', { state: 'unreachable', proofs: [] }, { memoryMiB: 1e6, processors: 1000, diskBytes: 1e15 }, 'state engine processors memoryMiB diskBytes'],
];

for (const [name, host, wish, expected] of cases) {
  test(`[P2][P3] ${name}`, () => {
    const placement = placeMachine([sampleHost('h1', host)], { ...request, ...wish });
    const shortages = placement.placed ? '' : placement.hosts[0]?.shortages.map((one) => one.what).join(' ');
    equal(shortages, expected);
  });
}

test('[P1] the host with the largest free share wins, by id where equal', () => {
  const full = sampleHost('a', { promised: { machines: 1, processors: 0, memoryMiB: 4000, diskBytes: 0 } });
  deepEqual(placeMachine([full, sampleHost('c'), sampleHost('b')], request), { placed: true, hostId: 'b' });
});

test('[P3] the refusal is one line for people, with numbers', () => {
  const wish = { ...request, memoryMiB: 7000 };
  const placement = placeMachine([sampleHost('h1', { promised: { machines: 2, processors: 2, memoryMiB: 1000, diskBytes: 0 } }), sampleHost('h2', { state: 'draining' })], wish);
  ok(!placement.placed);
  const error = placementError(placement, wish);
  deepEqual([error.code, error.kind], ['pool.hostFull', 'exhausted']);
  match(error.message, /^the machine fits no host now \(h1-name: needs 7000 MiB of memory, 6372 of 7372 MiB free, the rest is promised to 2 machines; h2-name: is draining\)$/);
  match(placementError({ placed: false, hosts: [] }, wish).message, /the pool has no host/);
  equal(error.advice?.startsWith('stop other machines'), true);
  const large = { ...request, diskBytes: 10 ** 15 };
  const diskless = placeMachine([sampleHost('h1')], large);
  ok(!diskless.placed);
  match(placementError(diskless, large).advice ?? '', /^free space on the disk/);
  match(new TooLargeError(diskless, large).advice ?? '', /^lower its disks/);
});

test('[P10] what no host could ever carry is wrong input, however full they are; what they could is not', () => {
  const busy = [sampleHost('h1', { state: 'unreachable', proofs: [], promised: { machines: 2, processors: 16, memoryMiB: 7000, diskBytes: 0 } })];
  const of = (memoryMiB: number, name: string) => ({ ...request, memoryMiB, name });
  equal(firstTooLarge(busy, [of(7372, 'a')]), undefined);
  equal(firstTooLarge([...busy, sampleHost('h2')], [of(7000, 'a'), of(7000, 'b')]), undefined);
  const alone = firstTooLarge(busy, [of(7373, 'a')]);
  ok(alone !== undefined);
  const error = new TooLargeError(alone.placement, alone.request);
  deepEqual([error.code, error.kind, error.message], ['pool.tooLarge', 'invalid', 'machine a fits no host, even if nothing else ran (h1-name: needs 7373 MiB of memory, 7372 of 7372 MiB free)']);
  const together = firstTooLarge(busy, [of(7000, 'a'), of(7000, 'b')]);
  ok(together !== undefined);
  match(new TooLargeError(together.placement, together.request).message, /^machine b fits no host.*needs 7000 MiB of memory, 372 of 7372 MiB free, the rest is promised to 1 machine\)$/);
});

const anyHost = fc.record({ id: fc.stringMatching(/^[a-z]{3}$/), memory: fc.integer({ min: 256, max: 65_536 }), promised: fc.integer({ min: 0, max: 70_000 }), processors: fc.integer({ min: 1, max: 64 }), used: fc.integer({ min: 0, max: 300 }), free: fc.integer({ min: 0, max: 500 }), draining: fc.boolean() })
  .map((one) => sampleHost(one.id, {
    state: one.draining ? 'draining' : 'ready', processors: { model: 'x', count: one.processors, load1: 0 }, memory: { totalMiB: one.memory, availableMiB: one.memory },
    disk: { path: '/', totalBytes: 500 * gib, freeBytes: one.free * gib }, promised: { machines: 0, processors: one.used, memoryMiB: one.promised, diskBytes: 0 },
  }));

test('[P1][P2] whatever the hosts: it is placed exactly where it fits somewhere, never beyond what is free, in any order', () => {
  fc.assert(fc.property(fc.uniqueArray(anyHost, { selector: (host) => host.id, maxLength: 6 }), fc.integer({ min: 1, max: 40_000 }), fc.integer({ min: 1, max: 128 }), (hosts, memoryMiB, processors) => {
    const wish = { ...request, memoryMiB, processors };
    const placement = placeMachine(hosts, wish);
    deepEqual(placeMachine(hosts.toReversed(), wish).placed, placement.placed);
    const fits = (host: Host) => host.state === 'ready' && freeOf(host).memoryMiB >= memoryMiB && freeOf(host).processors >= processors && freeOf(host).diskBytes >= wish.diskBytes;
    if (!placement.placed) return equal(hosts.some(fits), false);
    const chosen = hosts.find((host) => host.id === placement.hostId) as Host;
    ok(fits(chosen) && chosen.promised.memoryMiB + memoryMiB + reservedMemoryMiB(chosen) <= chosen.memory.totalMiB);
    deepEqual(placeMachine(hosts.toReversed(), wish), placement);
  }), { numRuns: 300 });
});
