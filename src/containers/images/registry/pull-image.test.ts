/** Pulling: from Debian's docker-registry, and from registries that stumble, lie or ask for a login. */
import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { after, before, test } from 'node:test';
import { asStrataError, silentLog, systemClock } from '#base';
import { openImages } from '../open-images.ts';
import { configOf, descriptorOf, digestOf, imageBlobs, indexOf, layerOf, type Blob, type MadeLayer } from '../testing/make-archive.ts';
import { file, tarOf } from '../testing/make-tar.ts';
import { openTestImages, readInSquashfs, type TestImages } from '../testing/test-images.ts';
import { push, startDockerRegistry, startFakeRegistry, type FakeRegistry, type TestRegistry } from '../testing/test-registry.ts';

let env: TestImages;
let registry: TestRegistry;
before(async () => { [env, registry] = await Promise.all([openTestImages(), startDockerRegistry()]); });
after(async () => { await registry.close(); await env.close(); });

const packed = (text: string, pack: (tar: Buffer) => Buffer, mediaType: string): MadeLayer => { const tar = tarOf(file('text', text)); return layerOf(tar, pack(tar), mediaType); };
const dockerLayer = (text: string) => packed(text, gzipSync, 'application/vnd.docker.image.rootfs.diff.tar.gzip');
const manifestOf = (blobs: readonly Blob[]) => blobs[0] as Blob;

test('[I14] an OCI index: the platform is chosen, the digest is the config\'s, progress reaches its total', async () => {
  const amd = imageBlobs([packed('amd64', gzipSync, 'application/vnd.oci.image.layer.v1.tar+gzip'), packed('second', zstdCompressSync, 'application/vnd.oci.image.layer.v1.tar+zstd')]);
  const armLayer = packed('arm64', gzipSync, 'application/vnd.oci.image.layer.v1.tar+gzip');
  const arm = imageBlobs([armLayer], configOf([armLayer], { architecture: 'arm64' }));
  const index = indexOf([
    descriptorOf(manifestOf(arm), { platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } }),
    descriptorOf(manifestOf(amd), { platform: { os: 'linux', architecture: 'amd64' } }),
  ]);
  await push(registry.host, 'shop/web', '1', [manifestOf(arm), manifestOf(amd), index], [...arm.slice(1), ...amd.slice(1)]);
  const steps: { done?: number; total?: number }[] = [];
  const image = await env.images.pull(`${registry.host}/shop/web:1`, { architecture: 'x86_64', progress: (step) => { steps.push(step); } });
  equal(image.digest, digestOf(amd[1]?.bytes as Buffer));
  equal(await readInSquashfs(env.images.squashfsPath(image), 'text'), 'second');
  const last = steps.filter((one) => one.total !== undefined).at(-1);
  equal(last?.done, last?.total);
  equal((await env.images.find(`${registry.host}/shop/web:1`, 'x86_64'))?.digest, image.digest);
  const byDigest = await env.images.pull(`${registry.host}/shop/web@${digestOf(index.bytes)}`, { architecture: 'aarch64' });
  equal(await readInSquashfs(env.images.squashfsPath(byDigest), 'text'), 'arm64');
});

test('[I14] a Docker manifest of version 2 without an index', async () => {
  const layer = dockerLayer('docker');
  const config = { bytes: configOf([layer]), mediaType: 'application/vnd.docker.container.image.v1+json' };
  const manifest = { mediaType: 'application/vnd.docker.distribution.manifest.v2+json', bytes: Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.docker.distribution.manifest.v2+json', config: descriptorOf(config), layers: [descriptorOf(layer)] })) };
  await push(registry.host, 'plain', 'latest', [manifest], [config, layer]);
  const image = await env.images.pull(`${registry.host}/plain`, { architecture: 'x86_64' });
  equal(await readInSquashfs(env.images.squashfsPath(image), 'text'), 'docker');
  await rejects(env.images.pull(`${registry.host}/plain`, { architecture: 'aarch64' }), (error: Error & { code?: string }) => error.code === 'image.noPlatform' && /has linux\/amd64/.test(error.message));
});

test('[I15] what is not there, who is not there, what is not for us', async () => {
  await rejects(env.images.pull(`${registry.host}/nothing:1`, { architecture: 'x86_64' }), { code: 'image.notFound', kind: 'notFound' });
  await rejects(env.images.pull(`${registry.host}/shop/web:2`, { architecture: 'x86_64' }), { code: 'image.notFound' });
  await rejects(env.images.pull('127.0.0.1:1/a', { architecture: 'x86_64' }), { code: 'image.registryUnreachable', kind: 'unavailable' });
  await rejects(env.images.pull('Not A Name', { architecture: 'x86_64' }), { code: 'image.badReference', kind: 'invalid' });
});

test('[I16] Basic credentials come from Docker\'s file, and the wrong ones are an error without them in it', async () => {
  // bcrypt of `secret-word`, made for this test
  const guarded = await startDockerRegistry('tester:$2y$05$abcdefghijklmnopqrstuuUOabO4v2PoT/v47Y.znQK.9MsMDnesq\n');
  const home = join(env.folder, 'home');
  mkdirSync(join(home, '.docker'), { recursive: true });
  const own = await openTestImages({ environment: { HOME: home } });
  try {
    await rejects(own.images.pull(`${guarded.host}/a`, { architecture: 'x86_64' }), { code: 'image.unauthorised', kind: 'refused' });
    writeFileSync(join(home, '.docker/config.json'), JSON.stringify({ auths: { [guarded.host]: { auth: Buffer.from('tester:wrong-secret').toString('base64') } } }));
    const error = await own.images.pull(`${guarded.host}/a`, { architecture: 'x86_64' }).catch((thrown: unknown) => asStrataError(thrown, 'pull'));
    equal('code' in error && error.code, 'image.unauthorised');
    equal(JSON.stringify([error, String(error)]).includes('wrong-secret'), false);
    writeFileSync(join(home, '.docker/config.json'), '{"auths": "secret-in-a-broken-file');
    await rejects(own.images.pull(`${guarded.host}/a`, { architecture: 'x86_64' }), (thrown: Error & { code?: string }) => thrown.code === 'image.badCredentials' && !`${thrown.message}${String(thrown.cause)}`.includes('secret-in'));
    const basic = Buffer.from('tester:secret-word').toString('base64');
    const blobs = imageBlobs([packed('guarded', gzipSync, 'application/vnd.oci.image.layer.v1.tar+gzip')]);
    await push(guarded.host, 'a', 'latest', [manifestOf(blobs)], blobs.slice(1), `Basic ${basic}`);
    writeFileSync(join(home, '.docker/config.json'), JSON.stringify({ auths: { [guarded.host]: { auth: basic } } }));
    equal(await readInSquashfs(own.images.squashfsPath(await own.images.pull(`${guarded.host}/a`, { architecture: 'x86_64' })), 'text'), 'guarded');
    await own.images.remove(`${guarded.host}/a`, { usersOf: () => Promise.resolve({ containers: [], apps: [] }) });
    // The same from a credential helper.
    mkdirSync(join(home, 'bin'));
    writeFileSync(join(home, 'bin/docker-credential-test'), `#!/bin/sh\nread -r host\n[ "$1 $host" = "get ${guarded.host}" ] && echo '{"Username":"tester","Secret":"secret-word"}'\n`, { mode: 0o755 });
    writeFileSync(join(home, '.docker/config.json'), JSON.stringify({ credHelpers: { [guarded.host]: 'test' } }));
    const helped = openImages({ instance: own.instance, store: own.store, clock: systemClock, log: silentLog, environment: { HOME: home, PATH: `${join(home, 'bin')}:/usr/bin:/bin` } });
    equal((await helped.pull(`${guarded.host}/a`, { architecture: 'x86_64' })).digest, digestOf(blobs[1]?.bytes as Buffer));
  } finally { await own.close(); await guarded.close(); }
});

/** A registry of one image in memory. */
function served(blobs: readonly Blob[]): (url: string, response: ServerResponse) => boolean {
  const manifest = manifestOf(blobs);
  return (url, response) => {
    if (url.includes('/manifests/')) { response.writeHead(200, { 'content-type': manifest.mediaType }).end(manifest.bytes); return true; }
    const blob = blobs.find((one) => url.endsWith(`/blobs/${digestOf(one.bytes)}`));
    if (blob === undefined) return false;
    response.writeHead(200, { 'content-length': blob.bytes.length }).end(blob.bytes);
    return true;
  };
}

async function withFake<T>(start: Promise<FakeRegistry>, use: (fake: FakeRegistry) => Promise<T>): Promise<T> {
  const fake = await start;
  try { return await use(fake); } finally { await fake.close(); }
}

test('[I16] a token is fetched where the challenge says, sent to the registry, and not to where it redirects', async () => {
  const blobs = imageBlobs([dockerLayer('token')]);
  const serve = served(blobs);
  await withFake(startFakeRegistry((request, response) => { if (!serve(request.url ?? '', response)) response.writeHead(404).end(); }), (storage) => withFake(startFakeRegistry((request, response, host) => {
    const url = request.url ?? '';
    if (url.startsWith('/token')) response.end(JSON.stringify({ token: 'the-token' }));
    else if (request.headers.authorization !== 'Bearer the-token') response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token",service="test",scope="repository:x:pull"` }).end();
    else if (url.includes('/blobs/')) response.writeHead(307, { location: `http://${storage.host}${url}` }).end();
    else serve(url, response);
  }), async (fake) => {
    writeFileSync(join(env.folder, 'auth.json'), JSON.stringify({ auths: { [fake.host]: { username: 'me', password: 'pass' } } }));
    const own = await openTestImages({ environment: { REGISTRY_AUTH_FILE: join(env.folder, 'auth.json') } });
    try {
      await own.images.pull(`${fake.host}/team/x`, { architecture: 'x86_64' });
    } finally { await own.close(); }
    const token = fake.requests.find((one) => one.url.startsWith('/token'));
    match(token?.url ?? '', /service=test/);
    match(token?.url ?? '', /scope=repository%3Ateam%2Fx%3Apull/);
    equal(token?.authorization, `Basic ${Buffer.from('me:pass').toString('base64')}`);
    equal(storage.requests.length > 0, true);
    deepEqual(storage.requests.map((one) => one.authorization).filter((one) => one !== undefined), []);
  }));
});

test('[I17] a body that breaks off is gone on with where it stopped', async () => {
  const big = tarOf(file('big', Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7 + (at >> 8)) % 256))));
  const blobs = imageBlobs([layerOf(big)]);
  const serve = served(blobs);
  const layer = digestOf(big);
  await withFake(startFakeRegistry((request, response) => {
    const url = request.url ?? '';
    if (!url.endsWith(layer)) { serve(url, response); return; }
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': big.length - from });
    if (from >= 200_000) response.end(big.subarray(from));
    else { response.write(big.subarray(from, from + 120_000)); setTimeout(() => { response.destroy(); }, 20); }
  }), async (fake) => {
    const image = await env.images.pull(`${fake.host}/broken`, { architecture: 'x86_64' });
    equal(image.size > 0, true);
    deepEqual(fake.requests.filter((one) => one.url.endsWith(layer)).map((one) => one.range), [undefined, 'bytes=120000-', 'bytes=240000-']);
    const before = fake.requests.length;
    await env.images.pull(`${fake.host}/broken`, { architecture: 'x86_64' });
    equal(fake.requests.slice(before).some((one) => one.url.includes('/blobs/')), false, 'blobs that are there are not fetched again');
  });
});

test('[I18] a registry that lies is refused, and nothing of it is kept', async () => {
  const blobs = imageBlobs([dockerLayer('lies')]);
  const layer = blobs[2] as Blob;
  const cases: [string, RegExp, (url: string, response: ServerResponse) => void][] = [
    ['another content', /another digest/, (url, response) => { response.end(url.endsWith(digestOf(layer.bytes)) ? Buffer.alloc(layer.bytes.length, 1) : ''); }],
    ['more than it has', /more than the/, (url, response) => { response.end(Buffer.alloc(layer.bytes.length + 1, 1)); }],
    ['a manifest with another digest', /that was asked for/, (url, response) => { response.writeHead(200, { 'content-type': manifestOf(blobs).mediaType, 'docker-content-digest': `sha256:${'0'.repeat(64)}` }).end(manifestOf(blobs).bytes); }],
    ['a page of a portal', /no kind of manifest/, (url, response) => { response.writeHead(200, { 'content-type': 'text/html' }).end('<html>log in</html>'); }],
    ['a manifest without end', /larger than/, (url, response) => { response.writeHead(200, { 'content-type': manifestOf(blobs).mediaType }).end(Buffer.alloc(5 * 1024 * 1024, 32)); }],
  ];
  for (const [name, says, lie] of cases) {
    const about = name.includes('manifest') || name.includes('portal') ? '/manifests/' : digestOf(layer.bytes);
    await withFake(startFakeRegistry((request, response) => { const url = request.url ?? ''; if (url.includes(about)) lie(url, response); else served(blobs)(url, response); }), async (fake) => {
      await rejects(env.images.pull(`${fake.host}/lies`, { architecture: 'x86_64' }), (error: Error & { code?: string }) => error.code === 'image.refused' && says.test(error.message), name);
    });
  }
  equal(readdirSync(join(env.instance.stateDir, 'blobs/sha256')).some((one) => one.startsWith(digestOf(layer.bytes).slice(7))), false);
});

test('[I18] redirects without end, a redirect to a file, a realm elsewhere: all refused', async () => {
  await withFake(startFakeRegistry((request, response, host) => { response.writeHead(302, { location: `http://${host}${request.url ?? ''}x` }).end(); }), (fake) => rejects(env.images.pull(`${fake.host}/a`, { architecture: 'x86_64' }), /without end/));
  await withFake(startFakeRegistry((_, response) => { response.writeHead(302, { location: 'file:///etc/passwd' }).end(); }), (fake) => rejects(env.images.pull(`${fake.host}/a`, { architecture: 'x86_64' }), /not HTTPS/));
  await withFake(startFakeRegistry((_, response) => { response.writeHead(401, { 'www-authenticate': 'Bearer realm="http://198.51.100.1/token"' }).end(); }), (fake) => rejects(env.images.pull(`${fake.host}/a`, { architecture: 'x86_64' }), /not HTTPS/));
});

test('[I19] fetched layers are only a cache: prune frees them, images stay', async () => {
  equal((await env.images.prune()) > 0, true);
  deepEqual(readdirSync(join(env.instance.stateDir, 'blobs/sha256')), []);
  const image = await env.images.find(`${registry.host}/plain`, 'x86_64');
  equal(await readInSquashfs(env.images.squashfsPath(image as NonNullable<typeof image>), 'text'), 'docker');
});
