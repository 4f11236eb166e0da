/** Machines by name or id: every change is a wish in the store, refused by the same table the CLI explains by. */
import { asStrataError, hostArchitecture, newId, StrataError, waitUntil } from '#base';
import { permissionOf, type ConsoleLine, type Machine, type MachineAction, type MachineCreate } from '#contract';
import { checkSource, ownDisk, type MachineSpec, type MachineStatus } from '#machines';
import { macOfAddress } from '#pool';
import type { RecordEntry } from '#store';
import type { Backend, ChangeOptions } from '../backend.ts';
import { preconditionFailed } from '../problems.ts';
import { awaitOwnDisks } from './await-own-disks.ts';
import { copiesBackend } from './backend-copies.ts';
import { consoleLines } from './console-lines.ts';
import { findByHandle } from './find-record.ts';
import type { Layers } from './layers.ts';
import { execInGuest, pumpConsole } from './guest-terminal.ts';
import { adviceAgainst } from './advice-against.ts';
import { refuseOwned } from './refuse-owned.ts';
import { groundsOf, showMachine } from './show-machine.ts';

interface Found { readonly entry: RecordEntry<MachineSpec>; readonly status: MachineStatus | undefined }

const nameTaken = (name: string): StrataError => new StrataError(`machine ${name} exists already`, { code: 'machine.nameTaken', kind: 'conflict', advice: 'choose another name, or remove it first' });

/** What a machine's disks may take at once; they grow as they are written. */
const diskBytesNow = 1024 ** 3;
/** Less than a client waits for an answer. */
const removalLimitMs = 50_000;

/** The request was checked: it has one of the two. */
const contentOf = ({ sizeMiB, from }: { readonly sizeMiB?: number | undefined; readonly from?: string | undefined }): { readonly sizeMiB: number } | { readonly from: string } => (from === undefined ? { sizeMiB: sizeMiB ?? 0 } : { from });

export function machinesBackend(layers: Layers): Backend['machines'] {
  const { specs, statuses, machines } = layers.machines;

  async function find(handle: string): Promise<Found> {
    const entries = await specs.list();
    const chosen = findByHandle('machine', handle, entries.map((one) => one.value));
    const entry = entries.find((one) => one.id === chosen.id) as RecordEntry<MachineSpec>;
    return { entry, status: (await statuses.get(entry.id))?.value };
  }

  async function view({ entry, status }: Found): Promise<Machine> {
    const [hosts, apps] = await Promise.all([layers.host.hosts.get(layers.host.id), layers.services.apps.list()]);
    const owner = entry.value.owner?.startsWith('app/') === true ? entry.value.owner.slice('app/'.length) : null;
    return showMachine({
      spec: entry.value, revision: entry.revision, status, hostName: hosts?.value.name ?? layers.host.id,
      app: owner === null ? null : apps.find((one) => one.value.id === owner)?.value.name ?? owner,
    });
  }

  function permit(action: MachineAction, found: Found): void {
    const { value } = found.entry;
    const permission = permissionOf(action, ...groundsOf(value, found.status));
    if (!permission.permitted) throw new StrataError(`machine ${value.name}: ${permission.reason}`, { code: 'machine.notPermitted', kind: 'refused', advice: adviceAgainst(action, value, found.status) });
  }

  /** Whoever asks to go on does not ask for a boot, which would drop what was in memory. */
  async function refuseLost({ entry }: Found): Promise<void> {
    const kept = await layers.machines.suspended(entry.id);
    const { name } = entry.value;
    if (kept?.why !== '') throw new StrataError(`machine ${name} cannot go on from where it was suspended: ${kept?.why ?? 'nothing of it is kept'}`, { code: 'machine.suspendedLost', kind: 'refused', advice: `\`strata machine start ${name}\` boots it, and drops what it had in memory` });
  }

  /** The wish as changed, unless somebody changed it since the caller looked. */
  async function change(found: Found, options: ChangeOptions, changes: Partial<MachineSpec>): Promise<Machine> {
    const { entry } = found;
    if (options.ifMatch !== undefined && options.ifMatch !== entry.revision) throw preconditionFailed(`machine ${entry.value.name}`, entry.revision);
    const value = { ...entry.value, ...changes, generation: entry.value.generation + 1 };
    const revision = await specs.put(entry.id, value, { ifRevision: entry.revision });
    return view({ entry: { ...entry, value, revision }, status: found.status });
  }

  async function create(wish: MachineCreate): Promise<Machine> {
    if ((await specs.list()).some((one) => one.value.name === wish.name)) throw nameTaken(wish.name);
    const architecture = wish.architecture ?? hostArchitecture;
    const request = { name: wish.name, architecture, processors: wish.processors, memoryMiB: wish.memoryMiB, diskBytes: diskBytesNow, engine: wish.engine };
    await layers.host.checkSizes([request]);
    await layers.machines.checkEngines({ ...request, boot: { kind: 'guest-os' }, disks: wish.disks });
    for (const { from } of wish.disks) if (from !== undefined) await checkSource(from);
    if (wish.start) { // one that does not run is promised nothing
      await layers.machines.proofs();
      await layers.host.refresh();
      await layers.host.admit(request);
    }
    const id = newId('machine', layers.dice);
    const specAt = (address: string): MachineSpec => ({
      id, name: wish.name, architecture, engine: wish.engine, processors: wish.processors, memoryMiB: wish.memoryMiB, boot: { kind: 'guest-os' }, scratchMiB: wish.scratchMiB,
      disks: wish.disks.map(({ name, backend, ...content }) => ownDisk(layers.instance, id, { serial: name, content: contentOf(content), backend: backend === 'vmm' ? undefined : backend })), network: { mac: macOfAddress(address), address }, wanted: wish.start ? 'running' : 'stopped', owner: null, createdAt: layers.clock.now(), generation: 1,
    });
    await layers.addresses.allocate('endpoint', `machine/${id}`, (address) => [specs.putWrite(id, specAt(address))]);
    return view({ ...await find(id), status: undefined });
  }

  const beginning = new Set<string>();
  const copies = copiesBackend(layers, async (handle, action) => {
    const found = await find(handle);
    if (action !== null) permit(action, found);
    return found.entry.value;
  });

  return {
    pool: async () => layers.machines.pooled(),
    ...copies,
    list: async () => {
      const states = new Map((await statuses.list()).map((one) => [one.id, one.value]));
      return Promise.all((await specs.list()).map((entry) => view({ entry, status: states.get(entry.id) })));
    },
    get: async (handle) => view(await find(handle)),
    async create(wish) {
      // A proof may run a guest meanwhile, and another call may ask for the same name.
      if (beginning.has(wish.name)) throw nameTaken(wish.name);
      beginning.add(wish.name);
      try { return await create(wish); } finally { beginning.delete(wish.name); }
    },
    async remove(handle, options) {
      const found = await find(handle);
      const { entry } = found;
      if (!options.force) permit('remove', found);
      await refuseOwned(layers, entry.value, { advice: 'take the app down, which removes its machines' });
      if (options.ifMatch !== undefined && options.ifMatch !== entry.revision) throw preconditionFailed(`machine ${entry.value.name}`, entry.revision);
      // Who would give back the address later might not come to it. It is the last to be used again.
      if (!(await layers.addresses.release(`machine/${entry.id}`, [{ delete: entry.key }], [{ key: entry.key, revision: entry.revision }]))) throw preconditionFailed(`machine ${entry.value.name}`, entry.revision);
      // Removed means that nothing of it runs; what takes longer, the controller goes on with.
      const erased = async () => (await layers.machines.statuses.get(entry.id)) === undefined;
      await waitUntil(erased, { what: 'the machine has ended', limitMs: removalLimitMs, everyMs: 20, clock: layers.clock }).catch((thrown: unknown) => { layers.log.warn({ machineId: entry.id, error: asStrataError(thrown, 'removal').message }, 'a removed machine still runs'); });
      return view(found);
    },
    async start(handle, options) {
      const found = await find(handle);
      if (found.entry.value.wanted === 'running' && found.status?.phase === 'running') return view(found);
      permit('start', found);
      return change(found, options, { wanted: 'running' });
    },
    async stop(handle, options) {
      const found = await find(handle);
      if (found.entry.value.wanted === 'stopped' && found.status?.phase === 'stopped') return view(found);
      permit('stop', found);
      const changed = await change(found, options, { wanted: 'stopped' });
      if (options.force) await layers.machines.kill(found.entry.id);
      return changed;
    },
    async restart(handle, options) {
      const found = await find(handle);
      permit('restart', found);
      const changed = await change(found, options, { wanted: 'running', restartToken: newId('operation', layers.dice) });
      if (options.force) await layers.machines.kill(found.entry.id);
      return changed;
    },
    async pause(handle, options) {
      const found = await find(handle);
      if (found.entry.value.wanted === 'paused' && found.status?.phase === 'paused') return view(found);
      permit('pause', found);
      return change(found, options, { wanted: 'paused' });
    },
    async suspend(handle, options) {
      const found = await find(handle);
      const { value } = found.entry;
      if (value.wanted === 'suspended' && found.status?.phase === 'suspended') return view(found);
      permit('suspend', found);
      await refuseOwned(layers, value, { why: ', whose volumes another machine could write to while this one has them half in memory', advice: 'pause it, or take the app down' });
      if (value.boot.kind === 'disk') throw new StrataError(`machine ${value.name} boots a disk of its own; only machines of the guest OS are suspended so far`, { code: 'machine.notPermitted', kind: 'refused', advice: 'pause it' });
      return change(found, options, { wanted: 'suspended' });
    },
    async resume(handle, options) {
      const found = await find(handle);
      if (found.entry.value.wanted === 'running' && found.status?.phase === 'running') return view(found);
      permit('resume', found);
      if (found.status?.phase === 'suspended') await refuseLost(found);
      return change(found, options, { wanted: 'running' });
    },
    async logs(handle, query, signal): Promise<AsyncIterable<ConsoleLine>> {
      const { entry } = await find(handle);
      return consoleLines(machines, entry.id, query, signal);
    },
    async exec(handle, request, session) {
      const found = await find(handle);
      permit('exec', found);
      const agent = await machines.agent(found.entry.id, { timeoutMs: 10_000 });
      const { owner, disks } = found.entry.value;
      if (owner === null) await awaitOwnDisks(agent, disks.map((disk) => disk.serial)); // an app's come and go with its containers
      return execInGuest(agent, '', request, session);
    },
    async console(handle, session) {
      const found = await find(handle);
      permit('console', found);
      await pumpConsole(await machines.openConsole(found.entry.id), session);
    },
  };
}
