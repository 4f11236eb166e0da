/** Debian's docker-registry on loopback, and a small pusher; a registry of our own that misbehaves on order. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, waitUntil } from '#base';
import { digestOf, type Blob } from './make-archive.ts';

export interface TestRegistry { readonly host: string; close(): Promise<void> }

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => { server.close(resolve); });
  return port;
}

/** @param htpasswd lines of `name:bcrypt`; with them it wants Basic credentials */
export async function startDockerRegistry(htpasswd?: string): Promise<TestRegistry> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-registry-'));
  const host = `127.0.0.1:${await freePort()}`;
  const auth = htpasswd === undefined ? '' : `auth:\n  htpasswd:\n    realm: test\n    path: ${join(folder, 'htpasswd')}\n`;
  if (htpasswd !== undefined) writeFileSync(join(folder, 'htpasswd'), htpasswd);
  writeFileSync(join(folder, 'config.yml'), `version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: ${join(folder, 'data')}\nhttp:\n  addr: ${host}\n${auth}`);
  const child = spawn('docker-registry', ['serve', join(folder, 'config.yml')], { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => { child.on('error', () => { resolve(); }); child.on('close', () => { resolve(); }); });
  await waitUntil(async () => fetch(`http://${host}/v2/`).then(() => true, () => false), { what: 'docker-registry answers', limitMs: 20_000, everyMs: 50, clock: systemClock });
  return {
    host,
    async close() {
      child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Pushes blobs, then the manifests under their digests, the last of them under the tag too. */
export async function push(host: string, repository: string, tag: string, manifests: readonly Blob[], blobs: readonly Blob[], authorization?: string): Promise<void> {
  const headers = authorization === undefined ? {} : { authorization };
  for (const { bytes } of blobs) {
    const started = await fetch(`http://${host}/v2/${repository}/blobs/uploads/`, { method: 'POST', headers });
    const url = new URL(started.headers.get('location') as string, `http://${host}`);
    url.searchParams.set('digest', digestOf(bytes));
    await good(await fetch(url, { method: 'PUT', headers: { ...headers, 'content-type': 'application/octet-stream' }, body: new Uint8Array(bytes) }));
  }
  for (const [at, { bytes, mediaType }] of manifests.entries()) {
    for (const name of [digestOf(bytes), ...(at === manifests.length - 1 ? [tag] : [])]) {
      await good(await fetch(`http://${host}/v2/${repository}/manifests/${name}`, { method: 'PUT', headers: { ...headers, 'content-type': mediaType }, body: new Uint8Array(bytes) }));
    }
  }
}

async function good(answer: Response): Promise<void> {
  if (!answer.ok) throw new Error(`${answer.url}: ${answer.status} ${await answer.text()}`);
  await answer.body?.cancel();
}

export interface FakeRegistry extends TestRegistry { readonly requests: { readonly url: string; readonly authorization: string | undefined; readonly range: string | undefined }[] }

/** A server whose every answer the test decides. */
export async function startFakeRegistry(answer: (request: IncomingMessage, response: ServerResponse, host: string) => void): Promise<FakeRegistry> {
  const requests: { url: string; authorization: string | undefined; range: string | undefined }[] = [];
  const server: Server = createServer((request, response) => {
    requests.push({ url: request.url ?? '', authorization: request.headers.authorization, range: request.headers.range });
    answer(request, response, `127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`, requests,
    close: async () => { server.closeAllConnections(); await new Promise((resolve) => { server.close(resolve); }); },
  };
}
