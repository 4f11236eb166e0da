/** Plans of routes and neighbours, names, MACs, elements: pure, so checked with properties. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Instance } from '#base';
import { tapName, tapPrefix } from './interface-names.ts';
import { listNftElements } from './list-nft-elements.ts';
import { macOfAddress } from './mac-of-address.ts';
import { planEntries, type NetworkEntry, type ObservedEntries } from './plan-entries.ts';

const instance: Instance = { name: 'unit', stateDir: '/s', runDir: '/r', cacheDir: '/c', subnet: 88 };
const address = fc.tuple(fc.nat(3), fc.nat(5)).map(([a, b]) => `10.88.${a}.${b}`);
const machine = fc.constantFrom('ma', 'mb', 'mc');
const endpoints = fc.uniqueArray(fc.record({ address, machineId: machine, project: fc.constantFrom('p', 'q', null) }), { selector: (one) => one.address });
const device = machine.map((id) => tapName(instance, id));
const route = fc.record({ address, device, mac: fc.constant('') });
const neighbour = fc.record({ address, device, mac: fc.constantFrom('02:00:00:00:00:01', '0a:53:0a:58:00:01') });
const key = (one: NetworkEntry) => `${one.address} ${one.device} ${one.mac}`;
const after = (now: readonly NetworkEntry[], add: readonly NetworkEntry[], remove: readonly NetworkEntry[]) => new Set([...now.map(key).filter((one) => !remove.map(key).includes(one)), ...add.map(key)]);

test('[N13] following the plan gives what was wished, and planning again gives nothing to do', () => {
  fc.assert(fc.property(endpoints, fc.uniqueArray(route, { selector: key }), fc.uniqueArray(neighbour, { selector: key }), fc.subarray(['ma', 'mb', 'mc']), (wish, routes, neighbours, taps) => {
    const observed: ObservedEntries = { taps: new Set(taps.map((id) => tapName(instance, id))), routes, neighbours };
    const plan = planEntries(wish, (id) => tapName(instance, id), observed);
    const there = wish.filter(({ machineId }) => taps.includes(machineId));
    assert.deepEqual(after(routes, plan.addRoutes, plan.removeRoutes), new Set(there.map((one) => key({ address: one.address, device: tapName(instance, one.machineId), mac: '' }))));
    assert.deepEqual(after(neighbours, plan.addNeighbours, plan.removeNeighbours), new Set(there.map((one) => key({ address: one.address, device: tapName(instance, one.machineId), mac: macOfAddress(one.address) }))));
    assert.equal(plan.waiting.length, wish.length - there.length);
    for (const kept of routes.filter((one) => there.some(({ address: wished, machineId }) => wished === one.address && tapName(instance, machineId) === one.device))) assert.ok(!plan.removeRoutes.includes(kept));
  }));
});

test('[N12] interface names fit the kernel and share the instance\'s prefix', () => {
  fc.assert(fc.property(fc.stringMatching(/^m[a-z2-7]{10}$/), (id) => {
    const name = tapName({ ...instance, name: 'strata-long' }, id);
    assert.ok(name.length <= 15 && name.startsWith(tapPrefix({ ...instance, name: 'strata-long' })));
  }));
});

test('[N7] MACs are locally administered, unicast, and as distinct as their addresses', () => {
  fc.assert(fc.property(fc.ipV4(), fc.ipV4(), (one, other) => {
    const mac = macOfAddress(one);
    assert.equal(Number.parseInt(mac.slice(0, 2), 16) & 3, 2);
    assert.equal(mac === macOfAddress(other), one === other);
  }));
  for (const bad of ['', '1.2.3', '1.2.3.256', '01.2.3.4', '1.2.3.4 ', '::1', '1.2.3.4;']) assert.throws(() => macOfAddress(bad), { code: 'network.badAddress' });
});

test('[N5] projects never share a number, and keep theirs while others come and go', () => {
  const state = (projects: readonly string[]) => ({ endpoints: projects.map((project, index) => ({ address: `10.88.${index >> 8}.${index & 255}`, machineId: 'ma', project })), virtualAddresses: [] });
  const numbersOf = (projects: readonly string[]) => listNftElements(instance, state(projects)).get('inet project')?.map((element) => (element as [string, number])[1]) ?? [];
  fc.assert(fc.property(fc.uniqueArray(fc.string(), { minLength: 2, maxLength: 40 }), (projects) => {
    const numbers = numbersOf(projects);
    assert.equal(new Set(numbers).size, projects.length);
    assert.ok(numbers.every((number) => number > 0 && number < 2 ** 32));
    assert.equal(numbersOf(projects.slice(0, 1))[0], numbers[0]);
  }));
  assert.deepEqual(listNftElements(instance, { endpoints: [{ address: '10.88.1.1', machineId: 'ma', project: null }], virtualAddresses: [] }).get('inet members'), []);
});
