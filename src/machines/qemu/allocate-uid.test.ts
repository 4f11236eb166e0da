/** User ids of machines. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { test } from 'node:test';
import { silentLog, type Instance } from '#base';
import { allocateUid, freeUid, uidOwners } from '../vmm/allocate-uid.ts';
import { openQemuEngine } from './index.ts';
import { machinePlaces } from './machine-places.ts';
import { templateMachineId } from './templates/template-places.ts';

test('[Q14] each machine has a uid that no other has, of any instance, until it is freed', async () => {
  const root = await mkdtemp('/tmp/strata-uid-');
  const instance = (subnet: number): Instance => ({ name: 'quid', stateDir: `${root}/${subnet}`, runDir: root, cacheDir: root, subnet });
  try {
    const ids = Array.from({ length: 20 }, (_, at) => `m${at}`);
    const uids = await Promise.all(ids.map((id) => allocateUid(instance(5), id)));
    equal(new Set(uids).size, 20);
    ok(uids.every((uid) => uid >= 100_000));
    deepEqual(await Promise.all(ids.map((id) => allocateUid(instance(5), id))), uids, 'kept');
    equal(uids.includes(await allocateUid(instance(6), 'm0')), false);
    await freeUid(instance(5), 'm3');
    await freeUid(instance(5), 'm3');
    equal(await allocateUid(instance(5), 'new'), uids[3]);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});

test('[Q36] the uid of a template\'s machine is given back by the next daemon where nothing else of it is left; a machine\'s own is not', async () => {
  const root = await mkdtemp('/tmp/strata-uid-');
  const instance: Instance = { name: 'quid', stateDir: root, runDir: root, cacheDir: root, subnet: 5 };
  try {
    for (const id of ['m1', templateMachineId('0123456789ab')]) await allocateUid(instance, id);
    await openQemuEngine({ instance, log: silentLog, guestOs: () => Promise.reject(new Error('nothing is started')) }).sweep();
    deepEqual([...await uidOwners(instance)], ['m1']);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});

test('[Q15] an id that is no id and a folder too long for sockets are refused', () => {
  const instance: Instance = { name: 'q', stateDir: '/s', runDir: '/r', cacheDir: '/c', subnet: 5 };
  throws(() => machinePlaces(instance, '../x'), { code: 'machine.badId' });
  throws(() => machinePlaces({ ...instance, runDir: `/${'x'.repeat(100)}` }, 'm1'), { code: 'machine.pathTooLong', kind: 'invalid' });
  equal(machinePlaces({ ...instance, runDir: `/${'x'.repeat(100)}`.slice(0, 90) }, 'mabcdefghij').monitor.length <= 107, true);
});
