/**
 * What `strata up` does, step by step: guest OS, images, admission, the app's record, and then waiting
 * until every service is as wished. Everything before the record only fills caches; the record is the
 * one change, and the controllers carry it out whether or not anybody waits.
 */
import { asStrataError, newId, StrataError, waitUntil, type Architecture, type Clock, type Dice } from '#base';
import { canonicalJson, type Image, type Images } from '#containers';
import type { Records } from '#store';
import type { AppRecord, AppStatus } from './app-record.ts';
import type { AppSpec, ServiceSpec } from './app.ts';

/** Where progress goes; each step is shown with its time. */
export interface Steps {
  step<T>(name: string, body: (say: (message: string) => void) => Promise<T>): Promise<T>;
}

export interface BringUpDeps {
  readonly apps: Records<AppRecord>;
  readonly appStatuses: Records<AppStatus>;
  readonly images: Images;
  /** Makes sure the guest OS of that architecture is built. */
  prepareGuest(architecture: Architecture, say: (message: string) => void): Promise<void>;
  /** Refuses an app that fits no host, with numbers. @throws StrataError `pool.hostFull` */
  admitApp(app: AppSpec): Promise<void>;
  readonly clock: Clock;
  readonly dice: Dice;
}

export interface BringUpRequest {
  readonly app: AppSpec;
  /** Replace containers although nothing changed; [] = all services. */
  readonly recreate?: readonly string[];
  readonly alwaysPull?: boolean;
  /** How long to wait for the services; 0 = do not wait. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

export async function bringUpApp(deps: BringUpDeps, request: BringUpRequest, steps: Steps): Promise<AppRecord> {
  const { app } = request;
  await deps.admitApp(app);
  for (const architecture of new Set(app.services.filter((service) => service.replicas > 0).map((service) => service.architecture))) {
    await steps.step(`guest OS ${architecture}`, (say) => deps.prepareGuest(architecture, say));
  }
  const images: AppRecord['images'] = {};
  for (const service of app.services) {
    const image = await steps.step(`image ${service.name}`, (say) => bringImage(deps.images, service, request, say));
    images[service.name] = { digest: image.digest, reference: referenceOf(service) };
  }
  const record = await writeRecord(deps, request, images);
  if (request.waitMs > 0) await awaitServices(deps, record, request, steps);
  return record;
}

export function referenceOf(service: ServiceSpec): string {
  return service.image.reference;
}

async function bringImage(images: Images, service: ServiceSpec, request: BringUpRequest, say: (message: string) => void): Promise<Image> {
  const progress = (step: { readonly what: string; readonly done?: number; readonly total?: number }) => say(step.total === undefined ? step.what : `${step.what} ${step.done ?? 0}/${step.total}`);
  const { image, architecture } = service;
  if (image.kind === 'debian') {
    return images.buildDebian(image.recipe, { contextDir: image.contextDir, architecture, reference: image.reference, signal: request.signal, progress });
  }
  const there = image.pullPolicy === 'always' || request.alwaysPull === true ? undefined : await images.find(image.reference, architecture);
  if (there !== undefined) return there;
  if (image.pullPolicy === 'never') {
    throw new StrataError(`image ${image.reference} of service ${service.name} is not on this host and pull_policy is never`, { code: 'service.imageMissing', kind: 'notFound', advice: 'import it with `strata image import`' });
  }
  try {
    return await images.pull(image.reference, { architecture, signal: request.signal, progress });
  } catch (thrown) {
    const cause = asStrataError(thrown, 'pull');
    throw new StrataError(`image ${image.reference} of service ${service.name} could not be brought: ${cause.message}`, { code: 'service.imageMissing', kind: cause.kind, cause, advice: cause.advice ?? 'check its name, or import it with `strata image import`' });
  }
}

/** Writes the record only where something differs, so that a second `up` changes nothing at all. */
async function writeRecord(deps: BringUpDeps, request: BringUpRequest, images: AppRecord['images']): Promise<AppRecord> {
  const existing = (await deps.apps.list()).map((one) => one.value).find((one) => one.name === request.app.name);
  const now = deps.clock.now();
  if (existing === undefined) {
    const id = newId('app', deps.dice);
    const record: AppRecord = { id, name: request.app.name, spec: request.app, images, wanted: 'up', removeVolumes: false, recreateToken: '', recreateServices: [], generation: 1, createdAt: now, updatedAt: now };
    await deps.apps.put(id, record);
    return record;
  }
  const recreated = request.recreate === undefined ? {} : { recreateToken: newId('operation', deps.dice), recreateServices: [...request.recreate] };
  const wished = { ...existing, spec: request.app, images, wanted: 'up' as const, removeVolumes: false, ...recreated };
  if (canonicalJson(wished) === canonicalJson(existing)) return existing;
  const record: AppRecord = { ...wished, generation: existing.generation + 1, updatedAt: now };
  await deps.apps.put(existing.id, record);
  return record;
}

/** One step for each service, ended by its being ready; the first failure ends all. */
async function awaitServices(deps: BringUpDeps, record: AppRecord, request: BringUpRequest, steps: Steps): Promise<void> {
  const end = new AbortController();
  const signal = AbortSignal.any([request.signal, end.signal]);
  const waits = record.spec.services.map((service) => steps.step(`service ${service.name}`, async (say) => {
    let last = '';
    await waitUntil(async () => {
      signal.throwIfAborted();
      const state = await stateOf(deps, record, service.name);
      if (state === undefined) return false;
      if (state.why !== last) { last = state.why; if (last !== '') say(last); }
      if (state.state === 'failed') {
        throw new StrataError(`service ${service.name} did not come up: ${state.why}`, { code: 'service.failed', kind: 'unavailable', advice: `see \`strata logs -p ${record.name} ${service.name}\`` });
      }
      return state.state === 'ready' || state.state === 'completed';
    }, { what: `service ${service.name} is ready (${last || 'its containers start'})`, limitMs: request.waitMs, everyMs: 100, clock: deps.clock, signal });
  }).catch((thrown: unknown) => { end.abort(thrown); throw thrown; }));
  const results = await Promise.allSettled(waits);
  if (end.signal.aborted) throw asStrataError(end.signal.reason, 'up');
  const failed = results.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw asStrataError(failed.reason, 'up');
}

async function stateOf(deps: BringUpDeps, record: AppRecord, service: string): Promise<AppStatus['services'][number] | undefined> {
  const status = (await deps.appStatuses.get(record.id))?.value;
  if (status === undefined || status.generation !== record.generation) return undefined;
  const error = status.waitingOn.find((one) => one.kind === 'error');
  const state = status.services.find((one) => one.name === service);
  return state === undefined || error === undefined || state.state === 'ready' ? state : { ...state, why: error.why };
}
