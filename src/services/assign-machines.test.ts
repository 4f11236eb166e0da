/** Machines for replicas: by memory, and by the disks that an engine takes. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { assignMachines, dedicatedTo, type AppHost, type AppMachine, type MachineWish, type ReplicaNeed } from './assign-machines.ts';

const host: AppHost = { processors: 2, maxDisks: { qemu: 255, uml: 15 } };
const need = (service: string, changes: Partial<ReplicaNeed> = {}): ReplicaNeed => ({ service, index: 1, architecture: 'x86_64', engine: 'uml', dedicated: false, memoryMiB: 32, cpus: 0.5, disks: [`image-${service}`], ...changes });
const asMachine = (wish: MachineWish): AppMachine => ({ ...wish, id: wish.name, dedicatedTo: null, promisedMiB: 0, disks: [] });
const names = (count: number): string[] => Array.from({ length: count }, (_, at) => `s${at}`);

/** As the plan is carried out: machines are made, then replicas are placed. */
function settle(needs: readonly ReplicaNeed[], on: AppHost): { readonly machines: readonly AppMachine[]; readonly placed: ReadonlyMap<string, string> } {
  const machines = assignMachines('shop', needs, [], on).make.map(asMachine);
  const { placed, make } = assignMachines('shop', needs, machines, on);
  deepEqual(make, [], 'what was made is enough');
  return { machines, placed };
}

test('[V32] images and volumes beyond what one machine takes are put on a second one', () => {
  const needs = names(20).map((name) => need(name));
  const { machines, placed } = settle(needs, host);
  deepEqual(machines.map((one) => one.name), ['shop-x86-64-uml', 'shop-x86-64-uml-2']);
  equal([...placed.values()].filter((id) => id === 'shop-x86-64-uml').length, 15);
  equal(settle(needs.map((one) => ({ ...one, engine: 'auto' as const })), host).machines.length, 1, 'QEMU takes them all');
  equal(settle(names(20).map((name) => need(name, { disks: ['image-one'] })), host).machines.length, 1, 'an image that is shared is one disk');
  equal(settle(names(8).map((name) => need(name, { disks: [`image-${name}`, `volume-${name}`] })), host).machines.length, 2, 'a volume is a disk too');
});

test('[V32] what is there counts, also what is about to go', () => {
  const full: AppMachine = { id: 'm1', name: 'shop-x86-64-uml', architecture: 'x86_64', engine: 'uml', memoryMiB: 4096, dedicatedTo: null, promisedMiB: 0, disks: names(15) };
  deepEqual(assignMachines('shop', [need('new')], [full], host).make.map((one) => one.name), ['shop-x86-64-uml-2']);
  equal(assignMachines('shop', [need('new', { disks: ['s3'] })], [full], host).placed.get('new-1'), 'm1');
  const one = { ...full, disks: names(14) };
  const { placed, make } = assignMachines('shop', [need('a'), need('b')], [one], host);
  deepEqual([[...placed.keys()], make.length], [['a-1'], 1], 'what was placed in this round counts for the next');
});

test('[V32] one that no machine could take gets none, and keeps no other from its own', () => {
  const { make } = assignMachines('shop', [need('huge', { disks: names(16) }), need('web')], [], host);
  deepEqual(make.map((one) => one.name), ['shop-x86-64-uml']);
});

test('[V32] whatever is asked for, no machine gets more disks or memory than it has, and all are placed', () => {
  const anyNeed = fc.record({ image: fc.integer({ min: 0, max: 9 }), volumes: fc.integer({ min: 0, max: 3 }), engine: fc.constantFrom('auto' as const, 'qemu' as const, 'uml' as const), memoryMiB: fc.integer({ min: 1, max: 900 }), dedicated: fc.boolean() });
  fc.assert(fc.property(fc.array(anyNeed, { maxLength: 30 }), fc.integer({ min: 4, max: 8 }), (asked, maxDisks) => {
    const tight: AppHost = { processors: 2, maxDisks: { qemu: maxDisks, uml: maxDisks } };
    const needs = asked.map((one, at) => need(`s${at}`, { engine: one.engine, memoryMiB: one.memoryMiB, dedicated: one.dedicated, disks: [`image-${one.image}`, ...names(one.volumes).map((volume) => `${volume}-of-${at}`)] }));
    const made = assignMachines('shop', needs, [], tight).make;
    equal(new Set(made.map((one) => one.name)).size, made.length, 'each has a name of its own');
    const machines = made.map((wish): AppMachine => ({ ...asMachine(wish), dedicatedTo: dedicatedTo('shop', wish, needs.filter((one) => one.dedicated)) }));
    const { placed, make } = assignMachines('shop', needs, machines, tight);
    deepEqual(make, []);
    equal(placed.size, needs.length);
    for (const machine of machines) {
      const own = needs.filter((one) => placed.get(`${one.service}-1`) === machine.id);
      ok(new Set(own.flatMap((one) => one.disks)).size <= maxDisks);
      ok(own.reduce((sum, one) => sum + one.memoryMiB, 0) <= machine.memoryMiB);
    }
  }), { numRuns: 300 });
});

test('[V32] a replica with a machine of its own that is to run elsewhere gets another beside it', () => {
  const own = assignMachines('shop', [need('web', { engine: 'auto', dedicated: true })], [], host).make.map((wish): AppMachine => ({ ...asMachine(wish), dedicatedTo: dedicatedTo('shop', wish, [{ service: 'web', index: 1 }]) }));
  deepEqual(own.map((one) => [one.name, one.dedicatedTo]), [['shop-web-1', 'web-1']]);
  for (const [changes, name] of [[{ engine: 'uml' }, 'shop-web-1-uml'], [{ engine: 'auto', architecture: 'aarch64' }, 'shop-web-1-aarch64']] as const) {
    const asked = need('web', { ...changes, dedicated: true });
    const { make } = assignMachines('shop', [asked], own, host);
    deepEqual(make.map((one) => one.name), [name]);
    const there = [...own, ...make.map((wish): AppMachine => ({ ...asMachine(wish), dedicatedTo: dedicatedTo('shop', wish, [asked]) }))];
    deepEqual([...assignMachines('shop', [asked], there, host).placed], [['web-1', name]]);
  }
});

test('[V32] a machine that was a replica\'s own and is not any more is nobody\'s; shared ones are known by their names', () => {
  const machine = (name: string, engine = 'qemu') => ({ name, architecture: 'x86_64' as const, engine });
  deepEqual(['shop-x86-64', 'shop-x86-64-2'].map((name) => dedicatedTo('shop', machine(name), [])), [null, null]);
  equal(dedicatedTo('shop', machine('shop-x86-64-uml', 'uml'), []), null);
  const left: AppMachine = { ...machine('shop-db-1'), id: 'm1', memoryMiB: 4096, dedicatedTo: dedicatedTo('shop', machine('shop-db-1'), []), promisedMiB: 0, disks: [] };
  const { placed, make } = assignMachines('shop', [need('db', { engine: 'auto' }), need('web', { engine: 'auto', dedicated: true })], [left], host);
  deepEqual([placed.size, make.map((one) => one.name).sort()], [0, ['shop-web-1', 'shop-x86-64']]);
});
