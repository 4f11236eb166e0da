/** Chooses engines for the services of an `up`, from what the host offers, what runs already, and what was counted there. */
import type { AppRecord } from '../app-record.ts';
import type { AppSpec, ServiceSpec } from '../app.ts';
import { StrataError } from '#base';
import type { RunEngine } from '../assign-machines.ts';
import { disksOf } from '../plan-app.ts';
import { chooseServiceEngine, type EngineOffer, type ServiceEngine } from './choose-service-engine.ts';
import { costUnder, learnMix, type Counted, type WorkMix } from './workload.ts';

/** What runs of a service now. */
export interface ServiceRunning {
  readonly engine: RunEngine;
  /** Its containers' counts; empty where they cannot be asked. */
  counted(): Promise<readonly Counted[]>;
}

export interface ChooseEnginesDeps {
  /** @param prove engines that are to be tried where nobody has */
  offers(prove: readonly RunEngine[]): Promise<readonly EngineOffer[]>;
  running(appId: string, service: string): Promise<ServiceRunning | undefined>;
}

/**
 * Of the services that the `up` is about; others keep theirs. An engine that stays keeps the reason for which it was chosen.
 * @throws StrataError `service.noEngine`
 */
export async function chooseEngines(deps: ChooseEnginesDeps, app: AppSpec, chosen: readonly ServiceSpec[], existing: AppRecord | undefined): Promise<AppRecord['engines']> {
  const known = await deps.offers([]);
  const unproved = enginesToProve(chosen, known);
  const offers = unproved.length === 0 ? known : await deps.offers(unproved);
  const engines: AppRecord['engines'] = {};
  for (const { name } of app.services) {
    const before = existing?.engines[name];
    if (before !== undefined) engines[name] = before;
  }
  for (const service of chosen) {
    const running = existing === undefined ? undefined : await deps.running(existing.id, service.name);
    const choice = chooseServiceEngine({
      architecture: service.architecture, engine: service.engine, leastIsolation: service.leastIsolation, workload: service.workload,
      cpus: service.limits.cpus ?? service.reservations.cpus, disks: disksOf(service, service.image.reference, (volume) => volume).length,
      hasData: service.mounts.some((mount) => mount.kind === 'volume'), current: running?.engine, learnt: await learn(service, running, offers),
    }, offers);
    if (choice.engine === null) throw refused(service, choice);
    if (engines[service.name]?.engine !== choice.engine || !sameAsk(service, existing)) engines[service.name] = { engine: choice.engine, why: choice.why };
  }
  return engines;
}

/** Only of engines that are asked for, or accepted, and of UML only where it has guests of that architecture: to prove one runs a guest. */
export function enginesToProve(services: readonly ServiceSpec[], known: readonly EngineOffer[]): readonly RunEngine[] {
  const uml = services.some((one) => (one.engine === 'uml' || (one.engine === 'auto' && one.leastIsolation === 'process')) && known.some(({ engine, architecture }) => engine === 'uml' && architecture === one.architecture));
  const hardware = services.some((one) => one.leastIsolation === 'hardware');
  return [...(hardware ? ['qemu' as const] : []), ...(uml ? ['uml' as const] : [])];
}

/** Asked only where the answer can count. */
async function learn(service: ServiceSpec, running: ServiceRunning | undefined, offers: readonly EngineOffer[]): Promise<WorkMix | undefined> {
  if (running === undefined || service.engine !== 'auto' || service.leastIsolation !== 'process' || service.workload !== undefined) return undefined;
  const costOf = (engine: RunEngine) => costUnder(engine, offers.find((one) => one.engine === engine && one.architecture === service.architecture)?.cost ?? null);
  const native = Math.min(costOf('qemu').stepNanos, costOf('uml').stepNanos);
  return learnMix(await running.counted(), costOf(running.engine), native);
}

function sameAsk(service: ServiceSpec, existing: AppRecord | undefined): boolean {
  const before = existing?.spec.services.find((one) => one.name === service.name);
  return before !== undefined && before.engine === service.engine && before.leastIsolation === service.leastIsolation && before.workload === service.workload;
}

function refused(service: ServiceSpec, { refusals }: Extract<ServiceEngine, { engine: null }>): StrataError {
  const reasons = refusals.map((one) => `${one.engine}: ${one.why}`).join('; ') || `this host runs no ${service.architecture} guests`;
  return new StrataError(`no engine can run service ${service.name}: ${reasons}`, { code: 'service.noEngine', kind: 'refused', advice: 'change x-strata, platform or cpus of the service; `strata doctor` shows what this host runs', details: { refusals } });
}
