/** What is remembered of KVM, and when it no longer counts. */
import { equal } from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Instance } from '#base';
import { isKvmProved, recordKvm } from './kvm-record.ts';

test('[Q23] a proof of KVM counts for this boot and this version of QEMU; nothing else is one', async () => {
  const runDir = await mkdtemp('/tmp/strata-kvm-');
  const instance: Instance = { name: 'qkvm', stateDir: runDir, runDir, cacheDir: runDir, subnet: 200 };
  const proved = () => isKvmProved(instance, '7.2.22', 'x86_64');
  try {
    equal(await proved(), false);
    await recordKvm(instance, '7.2.22', [{ architecture: 'x86_64', accelerator: 'kvm', works: false, evidence: '' }, { architecture: 'x86_64', accelerator: 'tcg', works: true, evidence: '' }]);
    equal(await proved(), false);
    await recordKvm(instance, '7.2.22', [{ architecture: 'x86_64', accelerator: 'kvm', works: true, evidence: '' }]);
    equal(await proved(), true);
    equal(await isKvmProved(instance, '8.0.0', 'x86_64'), false);
    equal(await isKvmProved(instance, '7.2.22', 'aarch64'), false);
    const path = join(runDir, 'qemu-kvm.json');
    await writeFile(path, (await readFile(path, 'utf8')).replace(/"bootId":"[^"]*"/, '"bootId":"another"'));
    equal(await proved(), false);
    await writeFile(path, '{');
    equal(await proved(), false);
  } finally {
    await rm(runDir, { recursive: true, force: true });
  }
});
