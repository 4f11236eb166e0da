/** The QEMU driver of the engine port: starts machines in jails, finds them again, removes their traces. */
import { mkdir } from 'node:fs/promises';
import { hostArchitecture, systemClock, type Architecture, type Clock, type Instance, type Log } from '#base';
import type { Engine } from '../engine.ts';
import { ensureLauncher, measureTsc, readConsoleRing } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { adoptMachine } from './adopt-machine.ts';
import { capabilities, readVersion } from './capabilities.ts';
import { openCopies } from './copies/open-copies.ts';
import { eraseMachine } from './erase-machine.ts';
import { isKvmProved, recordKvm } from './kvm-record.ts';
import { machinePlaces } from './machine-places.ts';
import { eraseProofs, proveAccelerators } from './prove-accelerators.ts';
import type { LaunchContext, QemuContext } from './qemu-context.ts';
import { openReadyVmms } from './ready/open-ready-vmms.ts';
import { sweepReady } from './ready/make-ready-vmm.ts';
import { shapeOfMachine, startMachine } from './start-machine.ts';
import { findSuspended } from './suspended/find-suspended.ts';
import { dropTemplates } from './templates/drop-template.ts';
import type { MachinePool } from '../pooled/open-machine-pool.ts';
import { qemuPoolSource } from './pooled/pool-source.ts';
import { sweepPool } from './pooled/sweep-pool.ts';
import { openTemplates, type TemplateSettings } from './templates/open-templates.ts';
import { sweepTemplates } from './templates/sweep-templates.ts';

export interface QemuEngineDeps {
  readonly instance: Instance;
  readonly log: Log;
  readonly guestOs: QemuContext['guestOs'];
  /** Makes and removes taps; without it machines have no network. */
  readonly network?: NonNullable<QemuContext['network']>;
  /** What was proved to work for an architecture, from the caller's cache; default is what `prove` found since the host's boot, else TCG. */
  readonly accelerator?: (architecture: Architecture) => Promise<'kvm' | 'tcg'>;
  /** Machines are cloned from templates where one fits; without it each one boots. */
  readonly templates?: TemplateSettings;
  /** Keeps paused machines for starts to take, where there are templates; without it none are kept. */
  readonly pool?: MachinePool;
  readonly clock?: Clock;
}

export interface QemuEngine extends Engine {
  /** `7.2.22`; with the host's boot id the key of cached proofs. */
  qemuVersion(): Promise<string>;
  /** Removes what an earlier daemon, ended at any moment, left without a record; called once, before anything runs. */
  sweep(): Promise<void>;
  /** Makes the template for machines like this one now, where there is none. @throws StrataError `machine.templateFailed` */
  ensureTemplate(spec: MachineSpec): Promise<void>;
  /** Ends all templates, also an earlier daemon's; machines that were cloned from them go on. */
  dropTemplates(): Promise<void>;
  /** Ends what is done in the background; machines and templates stay. */
  close(): Promise<void>;
}

export function openQemuEngine(deps: QemuEngineDeps): QemuEngine {
  const launcher = once(() => prepare(deps.instance));
  const version = once(readVersion);
  const tscKhz = once(async () => (hostArchitecture === 'x86_64' ? measureTsc(await launcher()) : undefined));
  const proved = async (architecture: Architecture) => (await isKvmProved(deps.instance, await version(), architecture) ? 'kvm' : 'tcg');
  const launching: LaunchContext = {
    instance: deps.instance, log: deps.log, clock: deps.clock ?? systemClock, guestOs: deps.guestOs, network: deps.network, accelerator: deps.accelerator ?? proved, launcher, qemuVersion: version, tscKhz, templates: undefined, pool: undefined, starting: new Set(),
  };
  const plain: QemuContext = { ...launching, readyVmms: openReadyVmms(launching) };
  const cloning: QemuContext = deps.templates === undefined ? plain : { ...plain, templates: openTemplates(plain, deps.templates) };
  const context: QemuContext = deps.pool === undefined || deps.templates === undefined ? cloning : { ...cloning, pool: deps.pool.join(qemuPoolSource(cloning)) };
  return {
    name: 'qemu', connectsAgain: true,
    capabilities: async () => capabilities(await version().catch(() => undefined)), // not installed: no architectures either
    qemuVersion: version,
    sweep: async () => {
      await eraseProofs(context);
      await sweepReady(context);
      await sweepPool(context);
      await sweepTemplates(context);
    },
    ensureTemplate: async (spec) => { await context.templates?.ensure(await shapeOfMachine(context, spec)); },
    dropTemplates: () => dropTemplates(context),
    close: async () => {
      await context.readyVmms.close();
      await context.pool?.close();
      await context.templates?.close();
    },
    pooled: () => context.pool?.list() ?? [],
    prove: async (signal) => {
      const proofs = await proveAccelerators(plain, signal); // a proof is a boot
      if (proofs.length > 0) await recordKvm(deps.instance, await version(), proofs);
      return proofs;
    },
    start: (spec, signal) => startMachine(context, spec, signal),
    adopt: (spec) => adoptMachine(context, spec),
    suspended: async (spec) => {
      const kept = await findSuspended(context, spec, machinePlaces(context.instance, spec.id));
      return kept === undefined ? undefined : { why: 'why' in kept ? kept.why : '' };
    },
    copies: openCopies(context),
    consoleLog: (id) => readConsoleRing(machinePlaces(context.instance, id).runFolder),
    erase: (id) => eraseMachine(context, id),
  };
}

/** What is found out once; again where it failed. */
function once<T>(find: () => Promise<T>): () => Promise<T> {
  let found: Promise<T> | undefined;
  return () => {
    found ??= find().catch((error: unknown) => { found = undefined; throw error; });
    return found;
  };
}

async function prepare(instance: Instance): Promise<string> {
  for (const folder of [instance.runDir, instance.stateDir]) await mkdir(folder, { recursive: true, mode: 0o700 });
  return ensureLauncher(instance);
}
