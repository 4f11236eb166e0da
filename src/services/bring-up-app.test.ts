/** What `up` writes and gives back where the app changes or the store fails under it; over a real store. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { StrataError, systemClock, systemDice } from '#base';
import type { Images } from '#containers';
import { openAddresses, openPorts } from '#pool';
import { recordsOf, type Store } from '#store';
import { openSqliteStore } from '#store/sqlite';
import { appKey, appRecordSchema, appStatusSchema } from './app-record.ts';
import type { AwaitServicesDeps } from './await-services.ts';
import { bringUpApp, type BringUpDeps } from './bring-up-app.ts';
import { performAppOperation, type AppPerformer } from './perform-app-plan.ts';
import { sampleApp, sampleService } from './testing/sample-app.ts';

const web = (image = 'web:1') => sampleService('web', { image: { kind: 'reference', reference: image, pullPolicy: 'missing' }, ports: [{ hostAddress: '0.0.0.0', hostPort: 8080, containerPort: 80, protocol: 'tcp', application: 'http' }] });
const steps = { step: <T>(_name: string, body: (say: (message: string) => void) => Promise<T>): Promise<T> => body(() => undefined), warn: () => undefined };

interface Opened { readonly deps: BringUpDeps; readonly store: Store; up(appId: string, image?: string): ReturnType<typeof bringUpApp>; held(): Promise<string[]>; failing: string | undefined; meanwhile: () => Promise<unknown> }

async function open(t: TestContext): Promise<Opened> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-up-'));
  const file = await openSqliteStore({ path: join(folder, 'store.db') });
  t.after(async () => { await file.close(); rmSync(folder, { recursive: true }); });
  const store: Store = { ...file, async transact(transaction) {
    if (opened.failing !== undefined && transaction.writes.some((one) => 'put' in one && one.put.startsWith(opened.failing ?? ''))) throw new StrataError('the disk is full', { code: 'store.diskFull', kind: 'exhausted' });
    return file.transact(transaction);
  } };
  const images = { find: async () => ({ digest: 'sha256:1', config: { exposedPorts: [] } }) } as unknown as Images;
  const deps: BringUpDeps = {
    apps: recordsOf(store, 'app', appRecordSchema), images, ports: openPorts(store, async () => true),
    awaiting: {} as AwaitServicesDeps, checkSize: async () => undefined, chooseEngines: async () => ({}), // nothing is waited for here
    prepareGuest: async () => undefined, admitApp: async () => { const { meanwhile } = opened; opened.meanwhile = async () => undefined; await meanwhile(); },
    reviveContainers: async () => false, syncTraffic: async () => undefined, clock: systemClock, dice: systemDice,
  };
  const opened: Opened = {
    deps, store, failing: undefined, meanwhile: async () => undefined,
    up: (appId, image) => bringUpApp(deps, { app: sampleApp([web(image)]).spec, appId, services: [], removeOrphans: false, waitMs: 0, signal: new AbortController().signal }, steps),
    held: async () => (await deps.ports.list()).map((one) => `${one.owner} ${one.port}`),
  };
  return opened;
}

test('[V25] an app that has gone since `up` looked at it is not written over: it begins anew, with its ports', async (t) => {
  const opened = await open(t);
  await opened.up('aone');
  opened.meanwhile = async () => { await opened.deps.ports.release('app/aone', { compare: [], writes: [{ delete: 'app/aone' }] }); };
  const record = await opened.up('atwo', 'web:2');
  deepEqual([record.id, record.generation, (await opened.deps.apps.list()).map((one) => one.id), await opened.held()], ['atwo', 1, ['atwo'], ['app/atwo 8080']]);
});

test('[V25] a change made since `up` looked at it is not lost', async (t) => {
  const opened = await open(t);
  await opened.up('aone');
  opened.meanwhile = () => opened.deps.apps.update('aone', (before) => (before === undefined ? before : { ...before, wanted: 'down', removeVolumes: true, generation: before.generation + 1 }));
  const record = await opened.up('atwo', 'web:2');
  deepEqual([record.id, record.generation, record.wanted, record.removeVolumes], ['aone', 3, 'up', false]);
});

test('[V25] an app that was brought up again is not forgotten; one that is goes with its ports and its status', async (t) => {
  const opened = await open(t);
  const { deps, store } = opened;
  const appStatuses = recordsOf(store, 'app-status', appStatusSchema);
  const first = await opened.up('aone');
  const down = { ...first, wanted: 'down' as const, generation: 2 };
  await deps.apps.put('aone', down);
  await appStatuses.put('aone', { id: 'aone', generation: 2, settled: false, services: [], waitingOn: [] });
  await opened.up('aone');
  const performer = { apps: deps.apps, appStatuses, ports: deps.ports, addresses: openAddresses(store, { subnet: 93 }) } as unknown as AppPerformer;
  const forget = { kind: 'app.forget', subject: appKey('aone'), summary: '' } as const;
  await performAppOperation(performer, down, forget);
  const again = (await deps.apps.get('aone'))?.value;
  deepEqual([again?.wanted, again?.generation, await opened.held()], ['up', 3, ['app/aone 8080']]);
  await performAppOperation(performer, { ...down, generation: 3 }, forget);
  deepEqual((await store.list('')).entries, []);
});

test('[V26] ports whose record cannot be written are given back, of a new app and of one that is there', async (t) => {
  const opened = await open(t);
  opened.failing = 'app/';
  await rejects(opened.up('aone'), { code: 'store.diskFull' });
  deepEqual(await opened.held(), []);
  opened.failing = undefined;
  await opened.up('aone');
  opened.failing = 'app/';
  const moved = sampleApp([{ ...web(), ports: web().ports.map((one) => ({ ...one, hostPort: 8081 })) }]).spec;
  await rejects(bringUpApp(opened.deps, { app: moved, appId: 'atwo', services: [], removeOrphans: false, waitMs: 0, signal: new AbortController().signal }, steps), { code: 'store.diskFull' });
  deepEqual(await opened.held(), ['app/aone 8080']);
  equal((await opened.deps.apps.get('aone'))?.value.generation, 1);
});

test('[V51] an image that could not be brought, but is here for another architecture, is said to be', async (t) => {
  const { deps, up } = await open(t);
  const unreachable = new StrataError('registry docker.io cannot be reached', { code: 'image.registryUnreachable', kind: 'unavailable', advice: 'check the network' });
  const here = (architecture: string) => Object.assign(deps.images, { find: async (_reference: string, asked: string) => (asked === architecture ? {} : undefined), pull: async () => { throw unreachable; } });
  here('aarch64');
  await rejects(up('aone'), { code: 'service.imageMissing', message: /docker\.io cannot be reached/, advice: 'it is here for linux/arm64, and `platform: linux/arm64` of the service would use that; or check the network' });
  here('none');
  await rejects(up('aone'), { code: 'service.imageMissing', advice: 'check the network' });
});
