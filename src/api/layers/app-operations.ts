/** The bodies of `app.up` and `app.down`, also as they are run again after the daemon died in the middle. */
import { StrataError, waitUntil } from '#base';
import { deleteVolume } from '#containers';
import type { OperationRun } from '#reconcile';
import type { BringUpRequest } from '#services';
import type { Layers } from './layers.ts';

/** Plain JSON: kept with the operation. */
export interface UpInput {
  readonly request: Omit<BringUpRequest, 'signal' | 'waitMs'>;
  readonly waitMs: number;
}

export interface DownInput { readonly name: string; readonly volumes: boolean; readonly timeoutSeconds?: number }

type Body = (run: OperationRun) => Promise<Record<string, unknown> | void>;

/** Longest an app may take to go: containers' grace, machines' end. */
const downLimitMs = 10 * 60_000;

export function upBody(layers: Layers, input: UpInput, warnings: readonly string[] = []): Body {
  return async (run) => {
    for (const warning of warnings) run.warn(warning);
    const app = await layers.services.up({ ...input.request, waitMs: input.waitMs, signal: run.signal }, run);
    return { app: app.id, generation: app.generation };
  };
}

export function downBody(layers: Layers, input: DownInput): Body {
  return async (run) => {
    const there = (await layers.services.apps.list()).find((one) => one.value.name === input.name)?.value;
    if (there !== undefined) {
      await layers.services.down(input.name, input.volumes, input.timeoutSeconds === undefined ? undefined : input.timeoutSeconds * 1000);
      await run.step(`take down ${input.name}`, (say) => awaitGone(layers, there.id, run.signal, say));
    }
    if (input.volumes) await removeVolumes(layers, input.name, run);
  };
}

async function awaitGone(layers: Layers, id: string, signal: AbortSignal, say: (message: string) => void): Promise<void> {
  let last = '';
  const gone = async () => {
    const app = await layers.services.apps.get(id);
    if (app === undefined) return true;
    if (app.value.wanted === 'up') throw new StrataError(`app ${app.value.name} was brought up again meanwhile`, { code: 'app.broughtUp', kind: 'conflict' });
    const containers = (await layers.containers.specs.list()).filter((one) => one.value.appId === id).length;
    const machines = (await layers.machines.specs.list()).filter((one) => one.value.owner === `app/${id}`).length;
    const now = `${containers} containers, ${machines} machines left`;
    if (now !== last) say(last = now);
    return false;
  };
  await waitUntil(gone, { what: 'the app is gone', limitMs: downLimitMs, everyMs: 100, clock: layers.clock, signal });
  await layers.services.syncTraffic(); // its ports are free when it is said to be down
  // Records of machines go before their processes have ended; `down` means that nothing runs any more.
  const machineGone = async () => {
    const wished = new Set((await layers.machines.specs.list()).map((one) => one.id));
    return (await layers.machines.statuses.list()).every((one) => wished.has(one.id));
  };
  await waitUntil(machineGone, { what: 'the machines have ended', limitMs: downLimitMs, everyMs: 100, clock: layers.clock, signal });
}

/** Data of an app that is down already. */
async function removeVolumes(layers: Layers, name: string, run: OperationRun): Promise<void> {
  for (const { value } of (await layers.containers.volumes.list()).filter((one) => one.value.appName === name)) {
    await run.step(`delete volume ${value.name}`, () => deleteVolume(layers.instance, layers.containers.volumes, value.id));
  }
}
