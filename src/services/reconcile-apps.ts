/**
 * The controller of apps: one key is one app. It looks, plans (plan-app.ts), performs, and writes the
 * app's status, which `strata up` follows.
 */
import { asStrataError, type Clock, type Log } from '#base';
import { machineStatusSchema } from '#machines';
import type { Controller, ReconcileResult } from '#reconcile';
import { recordsOf, type Store } from '#store';
import type { AppRecord, AppStatus, ServiceTemplate } from './app-record.ts';
import { configDigestOf } from './container-wish.ts';
import { performAppOperation, sha256, type AppPerformer } from './perform-app-plan.ts';
import type { AppObserved } from './app-observed.ts';
import type { AppHost } from './assign-machines.ts';
import { planApp, type AppPlan } from './plan-app.ts';
import { canonicalJson, type ContainerSpec } from '#containers';

export interface AppControllerDeps {
  readonly store: Store;
  readonly performer: AppPerformer;
  /** Open connections through the gateway by container id; asked only while something drains. */
  sessions(): Promise<ReadonlyMap<string, number>>;
  readonly host: AppHost;
  readonly clock: Clock;
  readonly log: Log;
}

export function appsController(deps: AppControllerDeps): Controller {
  const { performer } = deps;
  return {
    name: 'apps',
    watches: [
      { prefix: 'app/', keysOf: (key) => [key.slice('app/'.length)] },
      { prefix: 'container/', keysOf: (_key, value) => appOf(value) },
      { prefix: 'container-status/', keysOf: async (key) => appOf((await performer.containers.specs.get(key.slice('container-status/'.length)))?.value) },
      { prefix: 'machine/', keysOf: (_key, value) => ownerOf(value) },
      { prefix: 'machine-status/', keysOf: async (key) => ownerOf((await performer.machineSpecs.get(key.slice('machine-status/'.length)))?.value) },
    ],
    allKeys: async () => (await performer.apps.list()).map((one) => one.value.id),
    reconcile: (id, signal) => reconcileApp(deps, id, signal),
  };
}

/** A deleted record names no app; its app looks again by its own short timer (plan's againAfterMs) or full round. */
function appOf(value: unknown): string[] {
  return typeof value === 'object' && value !== null && 'appId' in value && typeof value.appId === 'string' ? [value.appId] : [];
}

function ownerOf(value: unknown): string[] {
  const owner = typeof value === 'object' && value !== null && 'owner' in value ? value.owner : null;
  return typeof owner === 'string' && owner.startsWith('app/') ? [owner.slice('app/'.length)] : [];
}

async function reconcileApp(deps: AppControllerDeps, id: string, signal: AbortSignal): Promise<ReconcileResult> {
  const app = (await deps.performer.apps.get(id))?.value;
  if (app === undefined) return {};
  const observed = await observeApp(deps, app);
  const plan = planApp(app, observed, deps.clock.now());
  let failure: Error | undefined;
  try {
    for (const operation of plan.operations) {
      signal.throwIfAborted();
      deps.log.info({ app: app.name, operation: operation.kind }, operation.summary);
      await performAppOperation(deps.performer, app, operation);
    }
  } catch (thrown) {
    failure = asStrataError(thrown, `app ${app.name}`);
  }
  // An app that was forgotten has no status, also where that was the last thing to succeed.
  const kept = !plan.operations.some((operation) => operation.kind === 'app.forget') || await deps.performer.apps.get(id) !== undefined;
  if (kept) await writeStatus(deps, app, plan, failure);
  if (failure !== undefined) throw failure;
  const again = app.wanted === 'down' || plan.operations.length > 0 ? Math.min(plan.againAfterMs ?? 250, 250) : plan.againAfterMs;
  return { waitingOn: plan.waitingOn, ...(again === undefined ? {} : { againAfterMs: again }) };
}

/** What there is of an app now. */
export async function observeApp(deps: AppControllerDeps, app: AppRecord): Promise<AppObserved> {
  const { performer } = deps;
  const machineStatuses = recordsOf(deps.store, 'machine-status', machineStatusSchema);
  const [containers, statuses, machines, states, volumes, services] = await Promise.all([
    performer.containers.specs.list(), performer.containers.statuses.list(), performer.machineSpecs.list(), machineStatuses.list(), performer.containers.volumes.list(), performer.services.list(),
  ]);
  const templates = (await performer.templates.list()).map((one) => one.value).filter((one) => one.appId === app.id);
  const own = containers.map((one) => one.value).filter((one) => one.appId === app.id);
  const statusById = new Map(statuses.map((one) => [one.value.id, one.value]));
  const stateById = new Map(states.map((one) => [one.value.id, one.value]));
  return {
    containers: own.map((spec) => ({ spec, status: statusById.get(spec.id) })),
    machines: machines.map((one) => one.value).filter((one) => one.owner === `app/${app.id}`).map((spec) => ({ spec, status: stateById.get(spec.id) })),
    volumes: volumes.map((one) => one.value).filter((one) => one.appName === app.name),
    services: services.map((one) => one.value).filter((one) => one.appId === app.id),
    templates: await Promise.all(templates.map(async (record) => ({ record, misfit: await misfitOf(performer, app, own, record) }))),
    sessions: own.some((one) => one.draining) ? await deps.sessions() : new Map(),
    host: deps.host,
    configDigests: new Map(app.spec.services.map((service) => [service.name, configDigestOf(app, service, sha256)])),
  };
}

/** Looked at only where somebody may want to go on from it. */
async function misfitOf({ copies }: AppPerformer, app: AppRecord, own: readonly ContainerSpec[], { service, state, machineId, snapshotId }: ServiceTemplate): Promise<string | undefined> {
  const wished = app.spec.services.find((one) => one.name === service)?.replicas ?? 0;
  if (state !== 'ready' || own.filter((one) => one.service === service && !one.draining).length >= wished) return undefined;
  return copies.misfit(machineId, snapshotId).catch((thrown: unknown) => asStrataError(thrown, 'looking at a template').message);
}

async function writeStatus(deps: AppControllerDeps, app: AppRecord, plan: AppPlan, failure: Error | undefined): Promise<void> {
  const status: AppStatus = {
    id: app.id, generation: app.generation, settled: plan.settled, services: [...plan.services],
    waitingOn: [...plan.waitingOn, ...(failure === undefined ? [] : [{ kind: 'error', subject: app.name, why: failure.message }])],
  };
  const before = (await deps.performer.appStatuses.get(app.id))?.value;
  if (before === undefined || canonicalJson(before) !== canonicalJson(status)) await deps.performer.appStatuses.put(app.id, status);
}
