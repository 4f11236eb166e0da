/** An API with the fake backend on a socket of its own, for tests; gone with everything when the test ends. */
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { request, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { silentLog } from '#base';
import { openFakeBackend, type FakeBackend } from './fake-backend.ts';
import { openApi, type OpenedApi } from './open-api.ts';

export interface Reply { readonly status: number; readonly headers: IncomingHttpHeaders; readonly text: string; readonly json: Record<string, unknown> }

export interface TestApi {
  readonly folder: string;
  readonly socketPath: string;
  readonly backend: FakeBackend;
  readonly api: OpenedApi;
  ask(method: string, path: string, options?: { readonly body?: unknown; readonly raw?: string | Uint8Array; readonly headers?: Record<string, string> }): Promise<Reply>;
  /** Sends raw bytes and returns what came back until the server closed, or 'open' after the limit. */
  sendBytes(bytes: string | Uint8Array, limitMs?: number): Promise<string>;
}

export async function openTestApi(t: TestContext): Promise<TestApi> {
  const folder = await mkdtemp(join(tmpdir(), 'strata-api-'));
  const socketPath = join(folder, 'run', 'api.sock');
  const backend = openFakeBackend();
  const api = await openApi({ backend, socketPath, log: silentLog });
  t.after(async () => { await api.close(); await rm(folder, { recursive: true, force: true }); });
  return {
    folder, socketPath, backend, api,
    ask: (method, path, options = {}) => ask(socketPath, method, path, options),
    sendBytes: (bytes, limitMs = 1_000) => sendBytes(socketPath, bytes, limitMs),
  };
}

function ask(socketPath: string, method: string, path: string, options: { body?: unknown; raw?: string | Uint8Array; headers?: Record<string, string> }): Promise<Reply> {
  const payload = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  const type = options.body === undefined ? {} : { 'Content-Type': 'application/json' };
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, agent: false, headers: { ...type, ...options.headers } }, (response) => {
      response.setEncoding('utf8');
      let text = '';
      response.on('data', (part: string) => { text += part; });
      response.on('error', reject);
      response.on('end', () => {
        const isJson = (response.headers['content-type'] ?? '').endsWith('json');
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: isJson ? JSON.parse(text) as Record<string, unknown> : {} });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(payload);
  });
}

function sendBytes(socketPath: string, bytes: string | Uint8Array, limitMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    let text = '';
    const timer = setTimeout(() => { socket.destroy(); resolve(text === '' ? 'open' : text); }, limitMs);
    socket.setEncoding('utf8');
    socket.on('data', (part: string) => { text += part; });
    socket.on('error', () => { /* 'close' follows */ });
    socket.on('close', () => { clearTimeout(timer); resolve(text); });
    socket.write(bytes);
  });
}
