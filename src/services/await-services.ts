/**
 * The waiting part of `strata up`: one step for each service, ended by its being as wished. A container without a
 * health check counts only once it has run for a moment, since one that ends at once did run when it was looked at.
 */
import { asStrataError, StrataError, waitUntil, type Clock } from '#base';
import type { ContainerSpec, ContainerStatus } from '#containers';
import type { Records } from '#store';
import type { AppRecord, AppStatus } from './app-record.ts';
import type { ServiceSpec } from './app.ts';

/** Where progress goes; each step is shown with its time. */
export interface Steps {
  step<T>(name: string, body: (say: (message: string) => void) => Promise<T>): Promise<T>;
  warn(message: string): void;
}

export interface AwaitServicesDeps {
  readonly appStatuses: Records<AppStatus>;
  readonly containers: Records<ContainerSpec>;
  readonly containerStatuses: Records<ContainerStatus>;
  /** What a container printed last, for people; '' where it cannot be had. Never rejects. */
  lastWords(containerId: string): Promise<string>;
  readonly clock: Clock;
}

interface Member { readonly spec: ContainerSpec; readonly status: ContainerStatus | undefined }

/** What ends this soon did not come up, where no health check tells. */
export const steadyMs = 2000;

/** Ended by the first failure. @throws StrataError `service.failed` with the reason and what the container printed last */
export async function awaitServices(deps: AwaitServicesDeps, record: AppRecord, services: readonly ServiceSpec[], request: { readonly waitMs: number; readonly signal: AbortSignal }, steps: Steps): Promise<void> {
  const end = new AbortController();
  let failure: StrataError | undefined;
  const signal = AbortSignal.any([request.signal, end.signal]);
  const waits = services.map((service) => steps.step(`service ${service.name}`, (say) => awaitService(deps, record, service, { waitMs: request.waitMs, signal, say })).catch((thrown: unknown) => {
    failure ??= asStrataError(thrown, 'up');
    end.abort(new StrataError(`not awaited any longer, because service ${service.name} failed`, { code: 'operation.notAwaited', kind: 'unavailable' }));
  }));
  await Promise.all(waits);
  if (failure !== undefined) throw failure;
}

async function awaitService(deps: AwaitServicesDeps, record: AppRecord, { name, replicas }: ServiceSpec, { waitMs, signal, say }: { readonly waitMs: number; readonly signal: AbortSignal; readonly say: (message: string) => void }): Promise<void> {
  const isSteady = watchSteadiness(deps, record, name);
  let last = '';
  const tell = (why: string) => { if (why !== last) { last = why; if (why !== '') say(why); } };
  await waitUntil(async () => {
    signal.throwIfAborted();
    const state = await stateOf(deps, record, name);
    if (state === undefined) return false;
    if (state.state === 'failed') throw await failed(deps, record, state);
    if (state.state === 'completed') return true;
    const steady = await isSteady(state.state === 'ready');
    if (!steady) {
      tell(state.state === 'ready' ? 'it runs; whether it stays up shows in a moment' : state.why);
      return false;
    }
    const tooMany = (await containersOf(deps, record, name)).length - replicas;
    if (tooMany > 0) tell(`it runs; ${tooMany} of its replicas ${tooMany === 1 ? 'is' : 'are'} being removed`);
    return tooMany <= 0;
  }, { what: `service ${name} is ready`, limitMs: waitMs, everyMs: 100, clock: deps.clock, signal }).catch((thrown: unknown) => {
    if (!(thrown instanceof StrataError) || thrown.code !== 'base.timeout') throw thrown;
    throw new StrataError(`service ${name} was not ready within ${Math.round(waitMs / 1000)} s: ${last || 'its containers start'}`, {
      code: 'service.notReady', kind: 'timeout', cause: thrown, advice: `it goes on starting; see \`strata ps -p ${record.name}\` and \`strata logs -p ${record.name} ${name}\`, or wait longer with --timeout`,
    });
  });
}

/**
 * Tells whether what is ready now has been so for long enough: by the containers' own start times, or by what was
 * seen here where the guest's clock differs from ours.
 */
function watchSteadiness(deps: AwaitServicesDeps, record: AppRecord, service: string): (ready: boolean) => Promise<boolean> {
  let seen: { readonly runs: string; readonly since: number } | undefined;
  return async (ready) => {
    if (!ready) { seen = undefined; return false; }
    const unproved = (await membersOf(deps, record, service)).filter((member) => !isProved(member, deps.clock.now()));
    // The service's state follows a moment behind its containers': one that has ended meanwhile is looked at again.
    if (unproved.some(({ status }) => status?.phase !== 'running')) { seen = undefined; return false; }
    const runs = unproved.map(({ spec, status }) => `${spec.id} ${status?.startedAt} ${status?.restarts}`).join();
    if (seen?.runs !== runs) seen = { runs, since: deps.clock.monotonic() };
    return unproved.length === 0 || deps.clock.monotonic() - seen.since >= steadyMs;
  };
}

/** By a health check, by its end as a job, or by the time it has run. */
function isProved({ spec, status }: Member, now: number): boolean {
  if (spec.guest.health !== null || (status?.phase === 'exited' && status.exitCode === 0)) return true;
  return status?.phase === 'running' && now - (status.startedAt ?? now) >= steadyMs;
}

async function failed(deps: AwaitServicesDeps, record: AppRecord, state: AppStatus['services'][number]): Promise<StrataError> {
  const culprit = (await membersOf(deps, record, state.name)).find(({ spec, status }) => (status?.phase === 'exited' || status?.phase === 'waiting') && state.why.startsWith(`${spec.name} `));
  const words = culprit === undefined ? '' : await deps.lastWords(culprit.spec.id);
  return new StrataError(`service ${state.name} did not come up: ${state.why}${words === '' ? '' : `; it printed last:\n${words}`}`, { code: 'service.failed', kind: 'unavailable', advice: `see \`strata logs -p ${record.name} ${state.name}\`` });
}

/** Also those that go. */
async function containersOf(deps: AwaitServicesDeps, record: AppRecord, service: string): Promise<readonly ContainerSpec[]> {
  return (await deps.containers.list()).map((one) => one.value).filter((one) => one.appId === record.id && one.service === service);
}

async function membersOf(deps: AwaitServicesDeps, record: AppRecord, service: string): Promise<readonly Member[]> {
  const specs = (await containersOf(deps, record, service)).filter((one) => !one.draining);
  return Promise.all(specs.map(async (spec) => ({ spec, status: (await deps.containerStatuses.get(spec.id))?.value })));
}

async function stateOf(deps: AwaitServicesDeps, record: AppRecord, service: string): Promise<AppStatus['services'][number] | undefined> {
  const status = (await deps.appStatuses.get(record.id))?.value;
  if (status === undefined || status.generation !== record.generation) return undefined;
  const error = status.waitingOn.find((one) => one.kind === 'error');
  const state = status.services.find((one) => one.name === service);
  return state === undefined || error === undefined || state.state === 'ready' ? state : { ...state, why: error.why };
}
