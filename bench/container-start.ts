/**
 * A container with a network card of its own in a machine that runs, under each engine: from its record in the store to its
 * first line of output in the host's hands, through controller and agent; against `crun run` by hand in the same guest, with
 * what the agent gives a container and the same root, but no card. Image plugged in already, for both. The guest OS has no
 * crun: this host's is copied in.
 */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { gatewayAddress, newId, silentLog, systemClock, systemDice, waitUntil } from '#base';
import { buildGuestSpec, openContainers, openImages, type Containers, type ContainerSpec, type Image } from '#containers';
import { ensureGuestOs, openMachines, type AgentConnection } from '#machines';
import { openQemuEngine } from '#machines/qemu';
import { openUmlEngine } from '#machines/uml';
import { macOfAddress, openHostNetwork } from '#pool';
import { runControllers } from '#reconcile';
import { openSqliteStore } from '#store/sqlite';
import { makeBusyboxLayout } from './harness/busybox-layout.ts';
import { firstOutput, prepareByHand, startByHand } from './harness/crun-by-hand.ts';
import { awaitQuiet, inTurn, loadNow, median, p95, report, round, rounds } from './harness/measure.ts';
import { ownInstance } from './harness/own-instance.ts';

const bars = { qemu: 0.5, uml: 0.25 } as const;
const names = { qemu: 'TCG', uml: 'UML' } as const;
type EngineName = keyof typeof bars;
const mostTimesByHand = 1.2;

await using own = await ownInstance('bcs', 194);
const { instance } = own;
await mkdir(instance.stateDir, { recursive: true });
const common = { clock: systemClock, dice: systemDice, log: silentLog };
const store = await openSqliteStore({ path: join(instance.stateDir, 'store.db') });
const network = openHostNetwork({ instance, log: silentLog });
await network.ensure();
const engines = [
  openQemuEngine({ instance, log: silentLog, guestOs: (architecture) => ensureGuestOs(architecture, own), accelerator: async () => 'tcg', network }),
  openUmlEngine({ instance, log: silentLog, guestOs: (architecture) => ensureGuestOs(architecture, { instance, flavour: 'uml' }), network }),
];
const machines = openMachines({ instance, store, engines, network, ...common });
const images = openImages({ instance, store, ...common });
const containers = openContainers({ instance, store, machines: machines.machines, images, ...common });
const controllers = runControllers({ controllers: [machines.controller, containers.controller], store, ...common });
const started: string[] = [];
const gateway = gatewayAddress(instance);
const subnet = gateway.split('.').slice(0, 2).join('.');

async function startMachine(engine: EngineName): Promise<{ readonly id: string; readonly agent: AgentConnection }> {
  const id = newId('machine', systemDice);
  started.push(id);
  const address = `${subnet}.1.${started.length}`;
  await machines.specs.put(id, {
    id, name: `bench-${engine}`, architecture: 'x86_64', engine, processors: engine === 'uml' ? 1 : 2, memoryMiB: 1024, boot: { kind: 'guest-os' }, scratchMiB: 4096, disks: [],
    network: { mac: macOfAddress(address), address }, wanted: 'running', owner: null, createdAt: Date.now(), generation: 1,
  });
  return { id, agent: await machines.machines.agent(id, { timeoutMs: 120_000 }) };
}

let addresses = 0;
function containerOf(image: Image, machineId: string, id: string, argv: readonly string[]): ContainerSpec {
  addresses += 1;
  const address = `${subnet}.2.${(addresses % 250) + 1}`;
  const guest = buildGuestSpec({
    id, hostname: 'bench', imageDigest: image.digest, entrypoint: null, command: argv, environment: {}, workingDir: null, user: null, groupAdd: [], readOnly: false, mounts: [], limits: {},
    network: { address, gateway, mac: macOfAddress(address) },
    dnsServers: [], searchDomain: 'bench', extraHosts: [], capAdd: [], capDrop: [], privileged: false, init: false, tty: false, stopSignal: 'SIGKILL', stopGraceMs: 1000,
    restart: { policy: 'no' }, probe: 'none', sysctls: {}, ulimits: [], shmBytes: 0,
  }, image.config, (text) => createHash('sha256').update(text).digest('hex'));
  return {
    id, name: `bench-${id}`, appId: 'bench', appName: 'bench', service: 'bench', index: 1, machineId, image: { digest: image.digest, architecture: 'x86_64', reference: 'busybox' }, volumeIds: [], address,
    configDigest: guest.digest, guest, wanted: 'running', draining: false, drainingSince: null, createdAt: Date.now(), generation: 1,
  };
}

/** Resolves when the status of the container says that it runs or ran. */
async function begun(of: Containers, id: string, after: number): Promise<void> {
  const stop = new AbortController();
  try {
    for await (const change of of.statuses.watch(after, stop.signal)) {
      if (change.id === id && ['running', 'exited'].includes(change.value?.phase ?? '')) return;
    }
  } finally { stop.abort(); }
}

/** What it says first is whether it has its card. */
const greeting = 'read -r mac </sys/class/net/eth0/address && echo "hello $mac"; exec sleep 600';

async function startOurs(image: Image, machineId: string): Promise<number> {
  const id = newId('container', systemDice);
  const spec = containerOf(image, machineId, id, ['/bin/busybox', 'sh', '-c', greeting]);
  const began = performance.now();
  const revision = await containers.specs.put(id, spec);
  await begun(containers, id, revision);
  const stream = await containers.logs(id, { follow: true });
  const text = await firstOutput(stream);
  const took = (performance.now() - began) / 1000;
  if (!text.includes(`hello ${spec.guest.network?.mac ?? ''}`)) throw new Error(`the container said ${text}`);
  stream.close();
  await containers.specs.delete(id);
  await waitUntil(async () => await containers.statuses.get(id) === undefined, { what: 'the container is gone', limitMs: 30_000, everyMs: 20 });
  return took;
}

async function measure(engine: EngineName, image: Image): Promise<void> {
  const { id: machineId, agent } = await startMachine(engine);
  const sleeper = newId('container', systemDice);
  await begun(containers, sleeper, await containers.specs.put(sleeper, containerOf(image, machineId, sleeper, ['/bin/busybox', 'sleep', '100000'])));
  await prepareByHand(agent, sleeper);
  await startOurs(image, machineId);
  await startByHand(agent);
  await awaitQuiet();
  const load = loadNow();
  const times = await inTurn(['ours', 'hand'], rounds(20), (who) => (who === 'ours' ? startOurs(image, machineId) : startByHand(agent)));
  const [ours, hand] = [median(times.ours), median(times.hand)];
  report({
    bench: `container start with its card in a running machine (${names[engine]})`, unit: 's', strata: round(ours), p95: round(p95(times.ours)), rival: 'crun run by hand in the same guest, no card', rivalValue: round(hand), rivalP95: round(p95(times.hand)),
    ratio: round(ours / hand), bar: `≤ ${bars[engine]} s, ≤ ${mostTimesByHand} ×`, met: ours <= bars[engine] && ours / hand <= mostTimesByHand, rounds: times.ours.length, load,
  });
  await machines.specs.delete(machineId); // the next engine has the host alone
  await waitUntil(async () => await machines.statuses.get(machineId) === undefined, { what: 'the machine is gone', limitMs: 60_000, everyMs: 50 });
}

try {
  const [image] = await images.importArchive(await makeBusyboxLayout(own.folder), { reference: 'busybox' });
  if (image === undefined) throw new Error('no image was found in the layout');
  for (const engine of ['qemu', 'uml'] as const) await measure(engine, image);
} finally {
  await controllers.stop();
  for (const id of started) {
    await machines.kill(id);
    for (const engine of engines) await engine.erase(id);
  }
  containers.close();
  await machines.stop();
  await store.close();
  await network.erase();
}
