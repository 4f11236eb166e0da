/** What a person does with an app, by the same door as the API: files in, an operation out, followed to its end. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AppPut, Operation } from '#contract';
import type { SimulatedHost } from './simulated-host.ts';

export interface AppWish {
  readonly name?: string;
  readonly replicas?: number;
  readonly version?: string;
  readonly image?: string;
  readonly dbVersion?: string;
  readonly port?: number;
  /** Leave out the worker, as where its service left the file. */
  readonly withoutWorker?: boolean;
  readonly dedicated?: boolean;
  /** Further replicas of the web service are clones, in each of which this program is run. */
  readonly startByClones?: string;
  /** The database, and its volume, in a machine of its own. */
  readonly dbDedicated?: boolean;
}

/** A web service before a database with a volume, a worker, and a job that the web waits for. */
export function composeText(wish: AppWish): string {
  const worker = `  worker:
    image: worker:1
    environment: { VERSION: "${wish.version ?? '1'}" }
    restart: unless-stopped
${wish.dedicated === true ? '    x-strata: { isolation: dedicated }\n' : ''}`;
  return `services:
  web:
    image: ${wish.image ?? 'web:1'}
    ports: ["${wish.port ?? 18_080}:80"]
    environment: { VERSION: "${wish.version ?? '1'}" }
    depends_on: { db: { condition: service_healthy }, setup: { condition: service_completed_successfully } }
    healthcheck: { test: [CMD, "true"], interval: 1s }
    restart: unless-stopped
    deploy: { replicas: ${wish.replicas ?? 1} }
${wish.startByClones === undefined ? '' : `    x-strata: { start: clone, after_clone: ["${wish.startByClones}"] }\n`}  db:
    image: db:1
    environment: { VERSION: "${wish.dbVersion ?? '1'}" }
    volumes: ["data:/data"]
${wish.dbDedicated === true ? '    x-strata: { isolation: dedicated }\n' : ''}    healthcheck: { test: [CMD, "true"], interval: 1s }
    restart: unless-stopped
  setup:
    image: db:1
    command: [exit, "0"]
    restart: "no"
${wish.withoutWorker === true ? '' : worker}volumes: { data: {} }
`;
}

export function put(host: SimulatedHost, wish: AppWish, changes: Partial<AppPut> = {}): AppPut {
  const file = `${wish.name ?? 'shop'}.yaml`;
  writeFileSync(join(host.workingDir, file), composeText(wish));
  return { workingDir: host.workingDir, files: [join(host.workingDir, file)], envFiles: [], profiles: [], env: {}, services: [], build: false, forceRecreate: false, removeOrphans: true, timeoutSeconds: 600, dryRun: false, ...changes };
}

/** Follows it until it has ended or its daemon is dead. */
export async function ended(host: SimulatedHost, operation: Operation): Promise<Operation> {
  const { daemon } = host;
  const end = new AbortController();
  void daemon.life.death.then(() => end.abort());
  try {
    let last = operation;
    for await (const one of await daemon.backend.operations.follow(operation.id, end.signal)) last = one;
    return last;
  } catch (thrown) {
    if (daemon.life.ended) return operation;
    throw thrown;
  }
}

export const up = async (host: SimulatedHost, wish: AppWish, changes: Partial<AppPut> = {}): Promise<Operation> => ended(host, await host.daemon.backend.apps.up(wish.name ?? 'shop', put(host, wish, changes)));
export const down = async (host: SimulatedHost, options: { readonly volumes?: boolean; readonly name?: string } = {}): Promise<Operation> => ended(host, await host.daemon.backend.apps.down(options.name ?? 'shop', { volumes: options.volumes ?? false, timeoutSeconds: undefined }));
export const change = async (host: SimulatedHost, action: 'start' | 'stop' | 'restart', services: readonly string[] = [], name = 'shop'): Promise<Operation> => ended(host, await host.daemon.backend.apps[action](name, { services: [...services] }));
