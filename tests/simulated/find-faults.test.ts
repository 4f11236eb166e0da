/** A judge that sees nothing is content with everything: each kind of leak and lack is planted, and must be told. */
import { equal, match } from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { up } from './world/ask-app.ts';
import { comeToRest } from './world/come-to-rest.ts';
import { restFaults } from './world/find-faults.ts';
import { openSimulatedHost, type SimulatedHost } from './world/simulated-host.ts';

let host: SimulatedHost;
before(async () => { host = await openSimulatedHost(); await up(host, {}); await comeToRest(host); });
after(async () => { await host.close(); });

const machineOf = () => [...host.world.vmms.keys()][0] as string;
const planted: readonly { readonly what: string; readonly told: RegExp; plant(): unknown; mend(): unknown }[] = [
  { what: 'an address nobody has', told: /^addresses: there are \[container\/clost\] too many/, plant: () => host.daemon.layers.addresses.allocate('endpoint', 'container/clost'), mend: () => host.daemon.layers.addresses.release('container/clost') },
  { what: 'a tap without a machine', told: /^taps: there are \[mlost\] too many/, plant: () => host.network.ensureTap('mlost'), mend: () => host.network.removeTap('mlost') },
  { what: 'a port nobody publishes', told: /^ports: there are \[app\/alost 9\]/, plant: () => host.daemon.layers.store.transact({ writes: [{ put: 'port/tcp-9', value: { owner: 'app/alost', port: 9, protocol: 'tcp', chosen: false } }] }), mend: () => host.daemon.layers.store.transact({ writes: [{ delete: 'port/tcp-9' }] }) },
  { what: 'a record of nothing', told: /^records of nothing: container-draft\/x/, plant: () => host.daemon.layers.store.transact({ writes: [{ put: 'container-draft/x', value: {} }] }), mend: () => host.daemon.layers.store.transact({ writes: [{ delete: 'container-draft/x' }] }) },
  { what: 'a disk still plugged in', told: /^plugged disks: there are \[vlost in/, plant: () => host.world.vmms.get(machineOf())?.disks.set('vlost', { serial: 'vlost', path: '/x', format: 'raw', readOnly: false }), mend: () => host.world.vmms.get(machineOf())?.disks.delete('vlost') },
];

for (const { what, told, plant, mend } of planted) {
  test(`${what} is told`, async () => {
    await plant();
    const faults = await restFaults(host);
    equal(faults.length, 1, faults.join('\n'));
    match(faults[0] ?? '', told);
    await mend();
    await comeToRest(host);
  });
}

test('what does not run or is lost is told', async () => {
  const [volume] = host.volumeDisks();
  rmSync(join(host.instance.stateDir, 'volumes', `${volume}.raw`));
  host.world.end(machineOf());
  const faults = (await restFaults(host)).join('\n');
  match(faults, /running machines: there are \[\] too many and \[m/);
  match(faults, /running containers: there are \[\] too many and \[c/);
  match(faults, /disks of volumes: there are \[\] too many and \[v/);
});
