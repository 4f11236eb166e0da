/** What is done to machines made by hand only. */
import { StrataError } from '#base';
import type { MachineSpec } from '#machines';
import type { Layers } from './layers.ts';

/** @throws StrataError `machine.owned`, which names the app as people do */
export async function refuseOwned({ services }: Layers, { name, owner }: MachineSpec, refusal: { readonly why?: string; readonly advice: string }): Promise<void> {
  if (owner === null) return;
  const app = owner.startsWith('app/') ? (await services.apps.get(owner.slice('app/'.length)))?.value.name : undefined;
  throw new StrataError(`machine ${name} belongs to ${app === undefined ? owner : `the app ${app}`}${refusal.why ?? ''}`, { code: 'machine.owned', kind: 'refused', advice: refusal.advice });
}

/** For copies of any kind. */
export const becauseOfItsApp = ': its volumes and containers are the app\'s, and a copy would be a second of each';
