/**
 * Makes and drops the template of a service: a copy, with memory, of the machine of a replica that is ready. The record
 * comes first, so that a copy that a daemon's death left behind is finished or removed. While it is made nothing of the
 * replica runs: no clone begins in the middle of a request, or draws a random number before it has its own.
 */
import { asStrataError, failpoint, newId, type Clock, type Dice } from '#base';
import type { Containers } from '#containers';
import type { MachineCopies } from '#machines';
import type { Records } from '#store';
import type { AppRecord, ServiceTemplate } from './app-record.ts';

export interface TemplateDeps {
  readonly templates: Records<ServiceTemplate>;
  readonly containers: Pick<Containers, 'whileFrozen'>;
  readonly copies: Pick<MachineCopies, 'take' | 'remove' | 'misfit'>;
  readonly clock: Clock;
  readonly dice: Dice;
}

/** The copying of a few hundred MiB of memory on a busy host. */
const frozenLimitMs = 30_000;

export const templateKey = (appId: string, service: string): string => `${appId}.${service}`;

/** Whatever it fails of is kept with the record: the replicas then start as ever. */
export async function makeTemplate(deps: TemplateDeps, app: AppRecord, of: { readonly service: string; readonly containerId: string; readonly machineId: string; readonly configDigest: string }): Promise<void> {
  const key = templateKey(app.id, of.service);
  const begun = (await deps.templates.get(key))?.value;
  const record: ServiceTemplate = begun?.containerId === of.containerId && begun.configDigest === of.configDigest ? begun
    : { ...of, appId: app.id, snapshotId: newId('snapshot', deps.dice), state: 'taking', why: '', triedAt: deps.clock.now() };
  if (record.state !== 'taking') return;
  if (record !== begun) await deps.templates.put(key, record);
  failpoint('template.take.recorded');
  const { snapshotId, machineId } = record;
  let why: string | undefined;
  try {
    await deps.containers.whileFrozen(of.containerId, frozenLimitMs, () => deps.copies.take(machineId, { id: snapshotId, name: `template-${of.service}`.slice(0, 60), memory: true, passing: true }));
  } catch (thrown) {
    const error = asStrataError(thrown, `making a template of service ${of.service}`);
    if (error.code === 'store.closed') throw error;
    why = error.message;
  }
  failpoint('template.take.taken');
  if (why !== undefined) await remove(deps, record);
  await deps.templates.put(key, { ...record, state: why === undefined ? 'ready' : 'failed', why: why === undefined ? '' : `its template could not be made: ${why}`.slice(0, 1000), triedAt: deps.clock.now() });
}

export async function dropTemplate(deps: TemplateDeps, appId: string, service: string, of: { readonly machineId: string; readonly snapshotId: string; readonly unusable?: string }): Promise<void> {
  await remove(deps, of);
  failpoint('template.drop.removed');
  const key = templateKey(appId, service);
  const there = await deps.templates.get(key);
  if (there?.value.snapshotId !== of.snapshotId) return;
  if (of.unusable === undefined) await deps.templates.delete(key);
  else await deps.templates.put(key, { ...there.value, state: 'failed', why: of.unusable.slice(0, 1000), triedAt: deps.clock.now() });
}

/** With its machine it is gone anyway. */
async function remove({ copies }: TemplateDeps, { machineId, snapshotId }: { readonly machineId: string; readonly snapshotId: string }): Promise<void> {
  try { await copies.remove(machineId, snapshotId); } catch (thrown) {
    const error = asStrataError(thrown, 'removing a template');
    if (error.kind !== 'notFound') throw error;
  }
}
