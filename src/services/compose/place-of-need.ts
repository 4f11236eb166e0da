/** Where a file asks for what no host has: at the service that asks for most of it. Pure. */
import type { Architecture } from '#base';
import type { Shortage } from '#pool';
import type { ServiceSpec } from '../app.ts';
import { nearest, type TreeNode, type TreePath, type TreePlace } from './yaml/tree.ts';

/** What there is too little of, for machines of that architecture. */
export interface UnmetNeed { readonly short: Shortage['what'] | undefined; readonly architecture: Architecture }

const replicas: readonly TreePath[] = [['deploy', 'replicas'], ['scale']];
/** From the first to be looked for; where none is written the service itself is meant. */
const keys: Partial<Record<Shortage['what'], readonly TreePath[]>> = {
  memoryMiB: [['deploy', 'resources', 'limits', 'memory'], ['mem_limit'], ['deploy', 'resources', 'reservations', 'memory'], ['mem_reservation'], ...replicas],
  processors: [['deploy', 'resources', 'limits', 'cpus'], ['cpus'], ['deploy', 'resources', 'reservations', 'cpus'], ...replicas],
};

/** @param tree the project's files, merged */
export function placeOfNeed(tree: TreeNode, services: readonly ServiceSpec[], need: UnmetNeed): TreePlace {
  const [greediest] = services.filter((one) => one.architecture === need.architecture).toSorted((one, other) => askedOf(other, need.short) - askedOf(one, need.short));
  const service: TreePath = greediest === undefined ? ['services'] : ['services', greediest.name];
  const written = (keys[need.short ?? 'diskBytes'] ?? replicas).map((key) => [...service, ...key]).find((path) => nearest(tree, path) !== nearest(tree, path.slice(0, -1)));
  return nearest(tree, written ?? service).place;
}

function askedOf({ limits, reservations, replicas: count }: ServiceSpec, short: UnmetNeed['short']): number {
  if (short === 'memoryMiB') return (limits.memoryBytes ?? reservations.memoryBytes ?? 0) * count;
  return short === 'processors' ? (limits.cpus ?? reservations.cpus ?? 0) * count : count;
}
