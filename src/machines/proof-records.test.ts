/** Proofs of engines that all instances of a host share. */
import { deepEqual, equal } from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { hostBootId } from '#base';
import { openFakeEngine } from './fake/index.ts';
import { keepProofs } from './keep-proofs.ts';
import { proofsInFolder } from './proof-records.ts';

test('[M16] what one instance proved, another of this host and boot knows; a damaged record proves nothing', async () => {
  const root = await mkdtemp('/tmp/strata-proofs-');
  try {
    const folder = join(root, 'proofs');
    const { signal } = new AbortController();
    const openOne = (bootId = hostBootId) => {
      const fake = openFakeEngine();
      let proved = 0;
      const engine = { ...fake, prove: async () => { proved += 1; return fake.prove(); } };
      return { proofs: keepProofs({ engines: [engine], records: proofsInFolder(folder), signal, hostBootId: bootId }), guestsRun: () => proved };
    };
    const [first, second, rebooted] = [openOne(), openOne(), openOne(() => 'another')];
    equal(await second.proofs.known('fake'), undefined);
    const proofs = await first.proofs.all();
    deepEqual(await second.proofs.all(), proofs);
    deepEqual([first.guestsRun(), second.guestsRun()], [1, 0]);
    equal(await rebooted.proofs.known('fake'), undefined);
    await writeFile(join(folder, 'fake.json'), '{');
    equal(await second.proofs.known('fake'), undefined);
    deepEqual([await second.proofs.all(), second.guestsRun()], [proofs, 1]);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
