/**
 * What `strata up` does, step by step: admission, guest OS, images, ports, the app's record, and then waiting
 * until every service is as wished. Everything before the record only fills caches or is given back; the record is the
 * one change, and the controllers carry it out whether or not anybody waits.
 */
import { architectures, asStrataError, newId, ociArchitecture, StrataError, type Architecture, type Clock, type Dice } from '#base';
import { canonicalJson, type Image, type Images } from '#containers';
import type { Ports } from '#pool';
import type { RecordEntry, Records } from '#store';
import { appKey, type AppRecord } from './app-record.ts';
import type { AppEngine, AppSpec, ServiceSpec } from './app.ts';
import { awaitServices, type AwaitServicesDeps, type Steps } from './await-services.ts';
import { withEngine } from './plan-app.ts';
import { publishFreedPorts, publishPorts, releaseUnpublished } from './publish-ports.ts';
import { selectServices } from './select-services.ts';

export interface BringUpDeps {
  readonly apps: Records<AppRecord>;
  readonly awaiting: AwaitServicesDeps;
  readonly images: Images;
  readonly ports: Ports;
  /** Makes sure the guest OS of that architecture is built, as that engine wants it. */
  prepareGuest(architecture: Architecture, engine: AppEngine, say: (message: string) => void): Promise<void>;
  /** What runs each service; where UML may, its guest OS is made ready and a guest is run to find out whether it does. @throws StrataError `service.noEngine` */
  chooseEngines(app: AppSpec, chosen: readonly ServiceSpec[], existing: AppRecord | undefined, steps: Steps): Promise<AppRecord['engines']>;
  /** Refuses an app that no host could ever carry, with numbers. @throws StrataError `pool.tooLarge` */
  checkSize(app: AppSpec, engines: AppRecord['engines']): Promise<void>;
  /** Refuses an app that fits no host now, with numbers. @throws StrataError `pool.hostFull` */
  admitApp(app: AppSpec, engines: AppRecord['engines']): Promise<void>;
  /** Makes stopped containers of those services run and failed ones begin anew; true where there were any. */
  reviveContainers(appId: string, services: ReadonlySet<string>): Promise<boolean>;
  /** Makes gateway, names and virtual addresses follow the records now. */
  syncTraffic(): Promise<void>;
  readonly clock: Clock;
  readonly dice: Dice;
}

export interface BringUpRequest {
  /** As the Compose files say. */
  readonly app: AppSpec;
  /** Id for an app that is not there yet; the same when an interrupted `up` is run again. */
  readonly appId: string;
  /** Only these and what they depend on; empty: all. */
  readonly services: readonly string[];
  readonly removeOrphans: boolean;
  /** Replace containers although nothing changed; [] = all services. */
  readonly recreate?: readonly string[];
  /** Overrides the file's pull policies. */
  readonly pull?: 'always' | 'missing' | 'never';
  /** How long to wait for the services; 0 = do not wait. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/** Looked at anew so often in all. */
const wishAttempts = 5;
const [giveBackAttempts, giveBackPauseMs] = [5, 100];

export async function bringUpApp(deps: BringUpDeps, request: BringUpRequest, steps: Steps): Promise<AppRecord> {
  const { record, chosen } = await wishApp(deps, request, steps);
  await releaseUnpublished(deps.ports, record.id, record.spec);
  if (request.waitMs > 0) {
    await awaitServices(deps.awaiting, record, chosen, request, steps);
    await deps.syncTraffic(); // whoever is told that it is up may connect at once, whatever becomes of this daemon
  }
  return record;
}

interface Wished { readonly record: AppRecord; readonly chosen: readonly ServiceSpec[] }

/** Everything up to the record. Where the app has changed or gone meanwhile, as it does after an unfinished `down`, all is looked at anew. */
async function wishApp(deps: BringUpDeps, request: BringUpRequest, steps: Steps): Promise<Wished> {
  for (let attempt = 1; ; attempt += 1) {
    const existing = (await deps.apps.list()).find((one) => one.value.name === request.app.name);
    try {
      return await wishOnto(deps, existing, request, steps);
    } catch (thrown) {
      await givePortsBack(deps, existing?.id ?? request.appId);
      if (!(thrown instanceof StrataError && thrown.code === 'store.conflict') || attempt === wishAttempts) throw thrown;
    }
  }
}

async function wishOnto(deps: BringUpDeps, entry: RecordEntry<AppRecord> | undefined, request: BringUpRequest, steps: Steps): Promise<Wished> {
  const existing = entry?.value;
  const { app, orphans } = selectServices(request.app, existing?.spec, request);
  for (const name of orphans) steps.warn(`service ${name} is no longer in the Compose file and goes on; --remove-orphans removes it`);
  const chosen = selectedServices(request, app);
  const engines = await deps.chooseEngines(app, chosen, existing, steps);
  await deps.checkSize(app, engines); // before anything is begun: what is wrong with the file is told at once
  await twoAtATime(guestsOf(chosen, engines).map((architecture) => () => steps.step(`guest OS ${architecture}`, (say) => deps.prepareGuest(architecture, 'qemu', say))), request.signal);
  await steps.step('what this host runs, and its room', () => deps.admitApp(app, engines));
  const images = await bringImages(deps, request, chosen, steps);
  for (const [name, image] of Object.entries(existing?.images ?? {})) if (app.services.some((service) => service.name === name)) images[name] ??= image;
  const id = existing?.id ?? request.appId;
  const complete = await withExposedPorts(deps.images, app, images);
  const published = await publishFreedPorts(() => publishPorts(deps.ports, id, complete, existing?.spec), () => deps.syncTraffic(), deps.clock).catch((thrown: unknown) => nameHolder(deps, thrown));
  return { record: await writeRecord(deps, { entry, id, app: published, images, engines, request, chosen }), chosen };
}

/** Ports that were taken for a record that was not written. What kept it from being written may last for a moment; what is left then, the next start gives back. */
async function givePortsBack(deps: BringUpDeps, appId: string): Promise<void> {
  for (let attempt = 1; attempt <= giveBackAttempts; attempt += 1) {
    try {
      const record = (await deps.apps.get(appId))?.value;
      if (record === undefined) await deps.ports.release(appKey(appId));
      else await releaseUnpublished(deps.ports, appId, record.spec);
      return;
    } catch {
      await deps.clock.wait(giveBackPauseMs); // the first failure is what is told
    }
  }
}

/** Architectures of the guests that QEMU is to run; UML's is there since its engine was chosen. */
function guestsOf(services: readonly ServiceSpec[], engines: AppRecord['engines']): readonly Architecture[] {
  const translated = services.filter((service) => service.replicas > 0 && withEngine(service, engines[service.name]?.engine).engine !== 'uml');
  return [...new Set(translated.map((service) => service.architecture))];
}

/** Ports an image says it listens on are ports of its service too: they can be parked and routed. */
async function withExposedPorts(images: Images, app: AppSpec, chosen: AppRecord['images']): Promise<AppSpec> {
  const services = await Promise.all(app.services.map(async (service) => {
    const digest = chosen[service.name]?.digest;
    const image = digest === undefined ? undefined : await images.find(digest, service.architecture);
    const own = (image?.config.exposedPorts ?? []).flatMap((text) => {
      const match = /^(\d{1,5})(?:\/(tcp|udp))?$/.exec(text);
      return match === null ? [] : [{ port: Number(match[1]), protocol: (match[2] ?? 'tcp') as 'tcp' | 'udp' }];
    });
    const known = new Set(service.expose.map((one) => `${one.port}/${one.protocol}`));
    return { ...service, expose: [...service.expose, ...own.filter((one) => !known.has(`${one.port}/${one.protocol}`))] };
  }));
  return { ...app, services };
}

/** Services of the file this `up` is about. */
function selectedServices(request: BringUpRequest, app: AppSpec): readonly ServiceSpec[] {
  const alone = selectServices(request.app, undefined, request).app.services.map((one) => one.name);
  return app.services.filter((service) => alone.includes(service.name));
}

async function bringImages(deps: BringUpDeps, request: BringUpRequest, services: readonly ServiceSpec[], steps: Steps): Promise<AppRecord['images']> {
  const images: AppRecord['images'] = {};
  await twoAtATime(services.map((service) => async () => {
    const image = await steps.step(`image ${service.name}`, (say) => bringImage(deps.images, service, request, say));
    images[service.name] = { digest: image.digest, reference: referenceOf(service) };
  }), request.signal);
  return images;
}

/** They fetch, unpack and compress in turn, so two keep a small host busy. After a failure none begins. */
async function twoAtATime(jobs: readonly (() => Promise<void>)[], signal: AbortSignal): Promise<void> {
  const left = [...jobs];
  await Promise.all([1, 2].map(async () => {
    for (let job = left.shift(); job !== undefined; job = left.shift()) {
      signal.throwIfAborted();
      try { await job(); } catch (thrown) { left.length = 0; throw thrown; }
    }
  }));
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
  const policy = request.pull ?? image.pullPolicy;
  const there = policy === 'always' ? undefined : await images.find(image.reference, architecture);
  if (there !== undefined) return there;
  if (policy === 'never') {
    throw new StrataError(`image ${image.reference} of service ${service.name} is not on this host and pull_policy is never`, { code: 'service.imageMissing', kind: 'notFound', advice: `${await hereOtherwise(images, service)}import it with \`strata image import\`` });
  }
  try {
    return await images.pull(image.reference, { architecture, signal: request.signal, progress });
  } catch (thrown) {
    const cause = asStrataError(thrown, 'pull');
    throw new StrataError(`image ${image.reference} of service ${service.name} could not be brought: ${cause.message}`, { code: 'service.imageMissing', kind: cause.kind, cause, advice: `${policy === 'always' ? '' : await hereOtherwise(images, service)}${cause.advice ?? 'check its name, or import it with `strata image import`'}` });
  }
}

/** The image may be here for another architecture, and only `platform` be lacking: no registry's failure says that. */
async function hereOtherwise(images: Images, { image, architecture }: ServiceSpec): Promise<string> {
  const found = await Promise.all(architectures.map(async (one) => (one !== architecture && await images.find(image.reference, one) !== undefined ? `linux/${ociArchitecture[one]}` : '')));
  const platform = found.find((one) => one !== '');
  return platform === undefined ? '' : `it is here for ${platform}, and \`platform: ${platform}\` of the service would use that; or `;
}

interface RecordWish {
  readonly entry: RecordEntry<AppRecord> | undefined;
  readonly id: string;
  readonly app: AppSpec;
  readonly images: AppRecord['images'];
  readonly engines: AppRecord['engines'];
  readonly request: BringUpRequest;
  readonly chosen: readonly ServiceSpec[];
}

/**
 * Writes the record only where something differs, so that a second `up` changes nothing at all.
 * @throws StrataError `store.conflict` where it is not what it was when this `up` looked at it
 */
async function writeRecord(deps: BringUpDeps, wish: RecordWish): Promise<AppRecord> {
  const { entry, id, images, engines, request } = wish;
  const existing = entry?.value;
  const now = deps.clock.now();
  if (entry === undefined || existing === undefined) {
    const record: AppRecord = { id, name: wish.app.name, spec: wish.app, images, engines, wanted: 'up', removeVolumes: false, recreateToken: '', recreateServices: [], generation: 1, createdAt: now, updatedAt: now };
    await deps.apps.put(id, record, { ifRevision: 0 });
    return record;
  }
  const revived = await deps.reviveContainers(id, new Set(wish.chosen.map((service) => service.name)));
  const recreated = request.recreate === undefined ? {} : { recreateToken: newId('operation', deps.dice), recreateServices: [...request.recreate] };
  const wished = { ...existing, spec: wish.app, images, engines, wanted: 'up' as const, removeVolumes: false, ...recreated };
  if (!revived && canonicalJson(wished) === canonicalJson(existing)) return existing;
  const record: AppRecord = { ...wished, generation: existing.generation + 1, updatedAt: now };
  await deps.apps.put(entry.id, record, { ifRevision: entry.revision });
  return record;
}

/** The pool knows who holds a port by a key; people know apps by their names. */
async function nameHolder(deps: BringUpDeps, thrown: unknown): Promise<never> {
  const owner = thrown instanceof StrataError && thrown.code === 'pool.portTaken' ? thrown.details?.['owner'] : undefined;
  const holder = typeof owner === 'string' && owner.startsWith('app/') ? (await deps.apps.get(owner.slice('app/'.length)))?.value.name : undefined;
  if (!(thrown instanceof StrataError) || holder === undefined) throw thrown;
  throw new StrataError(thrown.message.replace(String(owner), `the app ${holder}`), { code: thrown.code, kind: thrown.kind, advice: `publish another port, or take it down: \`strata down -p ${holder}\``, cause: thrown });
}
