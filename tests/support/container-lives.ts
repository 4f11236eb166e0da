/** Containers that live and end in one machine: an app whose replicas are all replaced, again and again. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitUntil } from '#base';
import type { TestInstance } from './test-instance.ts';

export interface ContainerLives {
  /** How many are replaced at once. */
  readonly replicas: number;
  /** Process ids of the VMM: one machine carries them all. */
  vmms(): readonly number[];
  /** Replaces all of them. */
  replace(): Promise<void>;
  end(): Promise<void>;
}

/** Needs the small image. */
export async function beginContainerLives(strata: TestInstance): Promise<ContainerLives> {
  const replicas = 6;
  let version = 0;
  const compose = () => `services:
  many:
    image: small:1
    pull_policy: never
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    environment: { VERSION: "${version}" }
    deploy: { replicas: ${replicas}, resources: { limits: { memory: 16M } } }
`;
  const folder = strata.app('lives', compose());
  await strata.ok(['up', folder]);
  return {
    replicas,
    vmms: () => strata.pidsOf('qemu-system'),
    replace: async () => {
      version += 1;
      writeFileSync(join(folder, 'compose.yaml'), compose());
      await strata.ok(['up', folder]);
      await waitUntil(async () => (await strata.containers('lives')).length === replicas || undefined, { what: 'the earlier six are gone', limitMs: 60_000, everyMs: 300 });
    },
    end: async () => {
      await strata.ok(['down', '-p', 'lives']);
      assert.deepEqual(await strata.containers(), []);
    },
  };
}
