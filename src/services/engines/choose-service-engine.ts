/**
 * Chooses what runs a service's machine, with the reason, or says of each engine why not. Pure.
 *
 *   asked for by name        ─► that one, or refused
 *   auto, one engine fits    ─► that one
 *   auto, KVM works          ─► QEMU: the processor itself runs the guest
 *   auto, it has data and runs somewhere already ─► stays there; only a person moves it
 *   auto, its work is known (said, or counted where it runs) ─► the cheaper one; UML only where it is clearly so
 *   auto, nothing is known   ─► QEMU, which keeps guests further apart
 *
 * UML's isolation is `process`: a guest's kernel is a jailed process. A service gets it only where its file says so, by
 * `engine: uml` or `least_isolation: process`.
 */
import type { Architecture } from '#base';
import type { RunEngine } from '../assign-machines.ts';
import type { AppEngine } from '../app.ts';
import { costUnder, mixOf, secondsOf, type Cost, type Workload, type WorkMix } from './workload.ts';

export const isolations = ['process', 'emulated', 'hardware'] as const; // from least to most
export type Isolation = (typeof isolations)[number];

/** What one engine offers one architecture on this host. */
export interface EngineOffer {
  readonly engine: RunEngine;
  readonly architecture: Architecture;
  readonly isolation: Isolation;
  readonly maxProcessors: number;
  readonly maxDisks: number;
  /** As measured on this host; null where nobody has yet. */
  readonly cost: Cost | null;
  /** Why it does not run here, as a guest proved; empty where it does, or nobody has tried. */
  readonly broken: string;
}

export interface ServiceAsk {
  readonly architecture: Architecture;
  readonly engine: AppEngine;
  readonly leastIsolation: Isolation | undefined;
  readonly workload: Workload | undefined;
  /** Processors it asks for; undefined: none in particular. */
  readonly cpus: number | undefined;
  readonly disks: number;
  readonly hasData: boolean;
  /** Where its replicas are now. */
  readonly current: RunEngine | undefined;
  /** Counted where it runs. */
  readonly learnt: WorkMix | undefined;
}

export type ServiceEngine =
  | { readonly engine: RunEngine; readonly why: string }
  | { readonly engine: null; readonly refusals: readonly { readonly engine: RunEngine; readonly why: string }[] };

/** What nobody says. */
const usualLeast: Isolation = 'emulated';
/** So many times cheaper must UML be: it keeps guests less apart. */
const clearly = 1.25;

export function chooseServiceEngine(ask: ServiceAsk, offers: readonly EngineOffer[]): ServiceEngine {
  const own = offers.filter((one) => one.architecture === ask.architecture);
  const asked = own.filter((one) => ask.engine === 'auto' || one.engine === ask.engine);
  const refusals = asked.flatMap((offer) => { const why = refusal(ask, offer); return why === undefined ? [] : [{ engine: offer.engine, why }]; });
  const fit = asked.filter((offer) => !refusals.some((one) => one.engine === offer.engine));
  if (ask.engine !== 'auto' && asked.length === 0) return { engine: null, refusals: [{ engine: ask.engine, why: `it does not run ${ask.architecture} guests here` }] };
  const [first] = fit;
  if (first === undefined) return { engine: null, refusals };
  if (ask.engine !== 'auto') return { engine: first.engine, why: 'the file asks for it' };
  if (fit.length === 1) {
    const others = refusals.map((one) => `${one.engine}: ${one.why}`).join('; ');
    return { engine: first.engine, why: others === '' ? `no other engine runs ${ask.architecture} here` : others };
  }
  return chooseAmong(ask, fit);
}

function refusal(ask: ServiceAsk, offer: EngineOffer): string | undefined {
  const least = ask.leastIsolation ?? (ask.engine === offer.engine ? 'process' : usualLeast);
  if (isolations.indexOf(offer.isolation) < isolations.indexOf(least)) {
    return ask.leastIsolation === undefined ? `its isolation is \`${offer.isolation}\`, which the file does not accept (x-strata.least_isolation)` : `its isolation here is \`${offer.isolation}\`, and \`${least}\` is the least that is asked for`;
  }
  if (offer.broken !== '') return offer.broken;
  if ((ask.cpus ?? 0) > offer.maxProcessors) return `it gives at most ${offer.maxProcessors} ${offer.maxProcessors === 1 ? 'processor' : 'processors'}, and ${ask.cpus ?? 0} are asked for`;
  if (ask.disks > offer.maxDisks) return `it takes at most ${offer.maxDisks} disks, and the image and the volumes are ${ask.disks}`;
  return undefined;
}

function chooseAmong(ask: ServiceAsk, fit: readonly EngineOffer[]): Extract<ServiceEngine, { engine: RunEngine }> {
  const qemu = fit.find((one) => one.engine === 'qemu');
  const uml = fit.find((one) => one.engine === 'uml');
  const stay = fit.find((one) => one.engine === ask.current);
  if (qemu?.isolation === 'hardware') return { engine: 'qemu', why: 'the processor itself runs its guest (KVM)' };
  if (ask.hasData && stay !== undefined) return { engine: stay.engine, why: 'it has data and runs there; `x-strata.engine` moves it' };
  const mix = ask.workload === undefined ? ask.learnt : mixOf[ask.workload];
  if (qemu === undefined || uml === undefined || mix === undefined) return { engine: qemu?.engine ?? 'uml', why: 'nothing is known of its work yet, and QEMU keeps guests further apart' };
  const costs = { qemu: costUnder('qemu', qemu.cost), uml: costUnder('uml', uml.cost) };
  const native = Math.min(costs.qemu.stepNanos, costs.uml.stepNanos);
  const seconds = { qemu: secondsOf(mix, costs.qemu, native), uml: secondsOf(mix, costs.uml, native) };
    const source = ask.workload === undefined ? 'by what it did so far' : `for its work (${ask.workload})`;
  const measured = qemu.cost === null || uml.cost === null ? 'by usual figures' : 'as measured on this host';
  const times = seconds.qemu / seconds.uml;
  const engine = times >= clearly ? 'uml' : 'qemu';
  const against = times >= clearly ? `UML is ${shown(times)} times as fast` : times > 1 / clearly ? 'neither is clearly faster, and QEMU keeps guests further apart' : `QEMU is ${shown(1 / times)} times as fast`;
  return { engine, why: `${source} ${against}, ${measured}` };
}

const shown = (times: number): string => (times >= 10 ? String(Math.round(times)) : times.toFixed(1));
