/** Import of what honest programs write. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { armFailpoints, runProcess } from '#base';
import { configOf, descriptorOf, digestOf, imageBlobs, indexOf, layerOf, layoutArchive, savedArchive } from '../testing/make-archive.ts';
import { device, file, folder, hardlink, symlink, tarOf } from '../testing/make-tar.ts';
import { listSquashfs, openTestImages, readInSquashfs, type TestImages } from '../testing/test-images.ts';

let env: TestImages;
let count = 0;
before(async () => { env = await openTestImages(); });
after(() => env.close());

function archiveFile(bytes: Buffer): string {
  const path = join(env.folder, `archive-${count += 1}.tar`);
  writeFileSync(path, bytes);
  return path;
}

const idle = { usersOf: () => Promise.resolve({ containers: [], apps: [] }) };

test('[I8] a docker save archive with plain, gzip and zstd layers becomes one squashfs', async () => {
  const tars = [
    tarOf(folder('etc', { mode: 0o750 }), file('etc/name', 'lower'), file('etc/gone', 'x'), file('bin/su', 'x', { mode: 0o4755 }), hardlink('bin/su2', 'bin/su'), symlink('sh', '/bin/bash'), device('null', 1, 3)),
    tarOf(file('etc/.wh.gone'), file('etc/name', 'upper', { uid: 70_000, gid: 3 })),
    tarOf(file(`srv/${Buffer.from('ü').toString('latin1')}`, 'text')),
  ] as const;
  const config = configOf(tars.map((one) => layerOf(one)), { config: { Entrypoint: ['/bin/su'], Cmd: ['-'], Env: ['A=1'], User: '7:8', WorkingDir: '/srv', ExposedPorts: { '80/tcp': {} }, Volumes: { '/data': {} }, Labels: { a: 'b' }, StopSignal: 'SIGQUIT', Healthcheck: { Test: ['CMD', 'true'], Interval: 5e9, Retries: 2 } } });
  const layers = [layerOf(tars[0]), layerOf(tars[1], gzipSync(tars[1])), layerOf(tars[2], zstdCompressSync(tars[2]))];
  const [image] = await env.images.importArchive(archiveFile(savedArchive(layers, { config, tags: ['shop/web:2'] })), {});
  equal(image?.digest, digestOf(config));
  deepEqual(image?.config, {
    entrypoint: ['/bin/su'], command: ['-'], env: ['A=1'], user: '7:8', workingDir: '/srv', exposedPorts: ['80/tcp'], volumes: ['/data'], labels: { a: 'b' }, stopSignal: 'SIGQUIT',
    healthcheck: { test: ['CMD', 'true'], intervalMs: 5000, retries: 2 },
  });
  const path = env.images.squashfsPath(image);
  const list = await listSquashfs(path);
  deepEqual(list.map((line) => line.replace('squashfs-root', '').trim()), [
    'drwxr-xr-x 0/0 60', 'drwxr-xr-x 0/0 38 /bin', '-rwsr-xr-x 0/0 1 /bin/su', '-rwsr-xr-x 0/0 1 /bin/su2', 'drwxr-x--- 0/0 27 /etc', '-rw-r--r-- 70000/3 5 /etc/name',
    'crw-r--r-- 0/0 1, 3 /null', 'lrwxrwxrwx 0/0 9 /sh -> /bin/bash', 'drwxr-xr-x 0/0 25 /srv', '-rw-r--r-- 0/0 4 /srv/ü',
  ].map((line, at) => (line.startsWith('d') ? line.replace(/0\/0 \d+/, /0\/0 \d+/.exec(list[at] ?? '')?.[0] ?? '') : line)));
  equal(await readInSquashfs(path, 'etc/name'), 'upper');
  equal(statSync(path).mode & 0o7777, 0o444);
  equal(statSync(path).size, image.size);
  equal((await env.images.find('shop/web:2', 'x86_64'))?.digest, image.digest);
});

test('[I8] an OCI layout, as tar, as gzipped tar and as folder, gives one image for each platform', async () => {
  const amd = imageBlobs([layerOf(tarOf(file('arch', 'amd64')))]);
  const armConfig = configOf([layerOf(tarOf(file('arch', 'arm64')))], { architecture: 'arm64', variant: 'v8' });
  const arm = imageBlobs([layerOf(tarOf(file('arch', 'arm64')))], armConfig);
  const s390 = imageBlobs([layerOf(tarOf(file('arch', 's390x')))], configOf([layerOf(tarOf(file('arch', 's390x')))], { architecture: 's390x' }));
  const proof = { bytes: Buffer.from('{}'), mediaType: 'application/vnd.oci.image.manifest.v1+json' };
  const [amdManifest, armManifest, s390Manifest] = [amd[0], arm[0], s390[0]] as { bytes: Buffer; mediaType: string }[] as [typeof proof, typeof proof, typeof proof];
  const index = indexOf([
    descriptorOf(amdManifest, { platform: { os: 'linux', architecture: 'amd64' } }), descriptorOf(armManifest, { platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } }),
    descriptorOf(s390Manifest), descriptorOf(proof, { annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } }),
  ]);
  const outer = indexOf([descriptorOf(index, { annotations: { 'io.containerd.image.name': 'docker.io/shop/api:3', 'org.opencontainers.image.ref.name': '3' } })]);
  const tar = layoutArchive(outer.bytes, [...amd, ...arm, ...s390, index, proof]);
  const layout = join(env.folder, 'layout');
  mkdirSync(layout);
  await runProcess(['tar', '-xf', archiveFile(tar), '-C', layout]);
  for (const path of [archiveFile(tar), archiveFile(gzipSync(tar)), layout]) {
    const images = await env.images.importArchive(path, {});
    deepEqual(images.map((one) => one.architecture).sort(), ['aarch64', 'x86_64']);
    for (const architecture of ['x86_64', 'aarch64'] as const) {
      const image = await env.images.find('shop/api:3', architecture);
      equal(await readInSquashfs(env.images.squashfsPath(image as NonNullable<typeof image>), 'arch'), architecture === 'x86_64' ? 'amd64' : 'arm64');
    }
    await env.images.remove('shop/api:3', idle);
    equal(await env.images.find('shop/api:3', 'aarch64'), undefined);
  }
  deepEqual(readdirSync(join(env.instance.stateDir, 'blobs')), []);
});

test('[I8] equal archives give equal bytes', async () => {
  const bytes = [];
  for (let at = 0; at < 2; at += 1) {
    if (at === 1) await setTimeout(1100); // times in it are not those of its making
    const [image] = await env.images.importArchive(archiveFile(savedArchive([layerOf(tarOf(...Array.from({ length: 200 }, (_, one) => file(`d${one % 7}/f${one}`, `${one}`.repeat(one)))))], { tags: [] })), { reference: 'same' });
    bytes.push(digestOf(readFileSync(env.images.squashfsPath(image as NonNullable<typeof image>))));
    await env.images.remove('same', idle);
  }
  equal(bytes[0], bytes[1]);
});

test('[I9] an image for other platforms is refused with the platforms it has', async () => {
  const layer = layerOf(tarOf(file('a', '')));
  const path = archiveFile(savedArchive([layer], { config: configOf([layer], { architecture: 'arm', variant: 'v7' }) }));
  await rejects(env.images.importArchive(path, {}), (error: Error & { code?: string }) => error.code === 'image.noPlatform' && error.message.includes('linux/arm/v7'));
  await rejects(env.images.importArchive(join(env.folder, 'nowhere.tar'), {}), { code: 'image.notFound' });
});

test('[I8] the config is called by its digest, with the algorithm before it, or just config.json', async () => {
  for (const name of ['config.json', 'digest']) {
    const layers = [layerOf(tarOf(file('n', name)))];
    const configName = name === 'digest' ? digestOf(configOf(layers)) : name;
    equal((await env.images.importArchive(archiveFile(savedArchive(layers, { configName, tags: ['named:1'] })), {})).length, 1, configName);
  }
});

test('[I10] one name in all its forms, a digest, a beginning of it', async () => {
  const [image] = await env.images.importArchive(archiveFile(savedArchive([layerOf(tarOf(file('n', 'names')))])), { reference: 'guestbook-web' });
  const digest = image?.digest as string;
  for (const name of ['guestbook-web', 'guestbook-web:latest', 'docker.io/guestbook-web', 'docker.io/library/guestbook-web:latest', 'index.docker.io/guestbook-web', digest, digest.slice(0, 19), digest.slice(7, 19)]) {
    equal((await env.images.find(name, 'x86_64'))?.digest, digest, name);
  }
  for (const name of ['guestbook-web:2', 'other/guestbook-web', 'Nö', '']) equal(await env.images.find(name, 'x86_64'), undefined, name);
  equal(await env.images.find('guestbook-web', 'aarch64'), undefined);
  deepEqual((await env.images.list()).find((one) => one.digest === digest)?.references, ['guestbook-web:latest']);
});

test('[I11] an image in use stays; a second name can go; by digest it goes with all names', async () => {
  const bytes = savedArchive([layerOf(tarOf(file('r', 'removal')))]);
  const [image] = await env.images.importArchive(archiveFile(bytes), { reference: 'removal:1' });
  await env.images.importArchive(archiveFile(bytes), { reference: 'removal:2' });
  const digest = image?.digest as string;
  const used = { usersOf: () => Promise.resolve({ containers: ['shop-web-1', 'shop-web-2'], apps: ['shop'] }) };
  await rejects(env.images.remove(digest, used), { code: 'image.inUse', kind: 'conflict', message: /is in use by containers shop-web-1, shop-web-2 of app shop$/, advice: 'take it down first: `strata down -p shop`' });
  await env.images.remove('removal:1', used);
  await rejects(env.images.remove('removal:2', used), { code: 'image.inUse' });
  equal((await env.images.find('removal:2', 'x86_64'))?.digest, digest);
  await env.images.remove(digest, idle);
  equal(await env.images.find('removal:2', 'x86_64'), undefined);
  equal(readdirSync(join(env.instance.stateDir, 'images')).some((name) => name.startsWith(digest.slice(7))), false);
  await rejects(env.images.remove('removal:2', idle), { code: 'image.notFound' });
});

test('[I12] what a crash leaves is removed at the next start, and the image is made again', async () => {
  const path = archiveFile(savedArchive([layerOf(tarOf(file('c', 'crash')))]));
  armFailpoints('images.squashfs.written=1*error');
  await rejects(env.images.importArchive(path, { reference: 'crash' }), { code: 'base.failpoint' });
  const folderPath = join(env.instance.stateDir, 'images');
  equal(readdirSync(folderPath).some((name) => name.endsWith('.new')), false);
  writeFileSync(join(folderPath, `${'a'.repeat(64)}-x86_64.squashfs.999999-1-1.new`), 'half');
  writeFileSync(join(folderPath, `${'b'.repeat(64)}-x86_64.squashfs`), 'no record');
  const images = env.again();
  const [image] = await images.importArchive(path, { reference: 'crash' });
  equal(readdirSync(folderPath).some((name) => name.startsWith('aaaa') || name.startsWith('bbbb')), false);
  rmSync(images.squashfsPath(image as NonNullable<typeof image>), { force: true });
  await images.importArchive(path, { reference: 'crash' });
  equal(statSync(images.squashfsPath(image as NonNullable<typeof image>)).size, image?.size);
});

test('[I13] a cancelled import stops and leaves nothing', async () => {
  const path = archiveFile(savedArchive([layerOf(tarOf(file('big', Buffer.alloc(64 * 1024 * 1024, 1))))]));
  await rejects(env.images.importArchive(path, { reference: 'late', signal: AbortSignal.timeout(30) }));
  equal(await env.images.find('late', 'x86_64'), undefined);
  equal(readdirSync(join(env.instance.stateDir, 'images')).some((name) => name.endsWith('.new')), false);
});
