/**
 * How a service's replicas come to run: `start: clone` lets further ones go on from a copy of one that is ready. Such a copy
 * is of a whole machine, so each has one to itself; and a volume has one writer, so it has none.
 */
import type { ServiceMount, ServiceSpec } from '../../app.ts';
import { wordsAt, wrong, type ServiceReading } from './service-reading.ts';

type Start = Partial<Pick<ServiceSpec, 'start' | 'afterClone' | 'isolation' | 'leastIsolation'>>;

/** Nothing where it starts as ever: a service whose file did not change is not made anew. */
export function readStart(reading: ServiceReading, mounts: readonly ServiceMount[]): Start {
  const own = reading.source['x-strata'] ?? {};
  const afterClone = wordsAt(reading, own.after_clone, 'x-strata', 'after_clone');
  if (own.start !== 'clone') {
    if (afterClone !== null) wrong(reading, ['x-strata', 'after_clone'], 'compose.contradiction', 'is run in clones only, and there are none', 'add start: clone, or take it out');
    return {};
  }
  if (afterClone?.length === 0) wrong(reading, ['x-strata', 'after_clone'], 'compose.badCommand', 'names no program', 'write a list: [sh, -c, "..."]');
  if (own.isolation === 'shared') wrong(reading, ['x-strata', 'isolation'], 'compose.contradiction', 'cannot be shared with start: clone: a clone is a whole machine', 'take it out, or say dedicated');
  if (own.engine === 'uml') wrong(reading, ['x-strata', 'engine'], 'compose.contradiction', 'cannot be uml with start: clone: that engine cannot copy machines', 'take it out, or say qemu');
  const volume = mounts.find((mount) => mount.kind === 'volume');
  if (volume !== undefined) wrong(reading, ['x-strata', 'start'], 'compose.contradiction', `cannot be clone with the volume at ${volume.target}: a volume belongs to one machine`, 'take one of them out');
  // `auto` never takes an engine that cannot copy machines unless the file lets guests be kept apart as processes only.
  return { start: 'clone', isolation: 'dedicated', ...(afterClone === null ? {} : { afterClone }), ...(own.least_isolation === 'process' ? { leastIsolation: 'emulated' as const } : {}) };
}
