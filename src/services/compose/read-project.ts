/** The parts of a project beside its services, by name: what services refer to. Parts that are wrong have been reported, and are left out. */
import { configSchema, networkSchema, secretSchema, volumeSchema, type ConfigSource } from './schema/compose-schema.ts';
import type { ProjectReading } from './service/service-reading.ts';
import { child, plain, type MapNode, type TreeNode } from './yaml/tree.ts';

type Parse<T> = { safeParse(value: unknown): { success: true; data: T } | { success: false } };

export function readProject(base: Pick<ProjectReading, 'tree' | 'name' | 'workingDir' | 'lookup' | 'home' | 'report'>): ProjectReading {
  const { tree } = base;
  return {
    ...base,
    volumes: partsOf(tree, 'volumes', volumeSchema, null),
    networks: partsOf(tree, 'networks', networkSchema, null),
    configs: partsOf<ConfigSource>(tree, 'configs', configSchema, {}),
    secrets: partsOf(tree, 'secrets', secretSchema as unknown as Parse<ConfigSource>, {}),
  };
}

/** A part that is wrong is taken as an empty one: that it is there is true. */
function partsOf<T>(tree: MapNode, section: string, schema: Parse<T>, broken: T): Map<string, T> {
  return new Map(namedParts(tree, section).map(([name, node]) => {
    const result = schema.safeParse(plain(node));
    return [name, result.success ? result.data : broken];
  }));
}

export function namedParts(tree: MapNode, section: string): [string, TreeNode][] {
  const node = child(tree, section);
  return node?.kind === 'map' ? [...node.entries].map(([name, entry]): [string, TreeNode] => [name, entry.value]) : [];
}
