/** A corpus of hostile archives (P37): each is refused with its reason, and nothing of it stays. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { asStrataError, StrataError } from '#base';
import { hostileArchives } from '../testing/hostile-archives.ts';
import { openTestImages, type TestImages } from '../testing/test-images.ts';

let env: TestImages;
const passwd = readFileSync('/etc/passwd', 'utf8');

before(async () => {
  env = await openTestImages();
  mkdirSync(join(env.folder, 'canary'));
  writeFileSync(join(env.folder, 'canary', 'file'), 'untouched');
});
after(() => env.close());

test('[I7] the corpus has at least sixty archives, with different names', () => {
  equal(hostileArchives.length >= 60, true, `${hostileArchives.length}`);
  equal(new Set(hostileArchives.map((one) => one.name)).size, hostileArchives.length);
});

for (const { name, says, make } of hostileArchives) {
  test(`[I7] refused: ${name}`, async () => {
    const path = join(env.folder, 'hostile.tar');
    writeFileSync(path, make());
    const error = await env.images.importArchive(path, {}).then(() => undefined, (thrown: unknown) => asStrataError(thrown, 'import'));
    rmSync(path);
    equal(error instanceof StrataError, true, 'it was accepted');
    equal(error?.code, 'image.refused', error?.message ?? '');
    match(error?.message ?? '', says);
    equal(/[\0-\x1f\x7f]/.test(error?.message ?? ''), false, 'the message holds control characters');
    deepEqual(await env.images.list(), []);
    deepEqual(readdirSync(join(env.instance.stateDir, 'images')), []);
    deepEqual(readdirSync(join(env.instance.stateDir, 'blobs')), []);
    equal(readFileSync(join(env.folder, 'canary', 'file'), 'utf8'), 'untouched');
    deepEqual(readdirSync(env.folder).filter((one) => !one.startsWith('store.db')).sort(), ['cache', 'canary', 'state']);
  });
}

test('[I7] the host is as it was', () => { equal(readFileSync('/etc/passwd', 'utf8'), passwd); });
