/**
 * 50 requests a second through the gateway while the daemon dies, while replicas are replaced, and while gateway and edge are killed.
 * Runs alone: 50 requests a second come whether they are answered or not, and none may fail for want of a processor.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { signalProcess, identifyProcess, waitUntil } from '#base';
import { freePort } from '../support/free-port.ts';
import { openLoop, type Load } from '../support/open-loop.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance('ttr', 162);
const perSecond = 50;
let port = 0;
let folder = '';

/** nginx: a server that forks for every request would be what breaks first here, not what is looked at. */
const compose = (version: string): string => `services:
  web:
    image: traffic-web
    build:
      context: .
      x-strata:
        debian:
          suite: bookworm
          packages: [nginx-light]
          copy: [{ from: nginx.conf, to: /etc/nginx/nginx.conf }]
          command: [nginx, -g, "daemon off;"]
          stop_signal: SIGQUIT
    ports: ["${port}:80"]
    environment: { VERSION: "${version}" }
    healthcheck: { test: [CMD, test, -s, /run/nginx.pid], interval: 1s, timeout: 5s, retries: 30 }
    deploy: { replicas: 2 }
    restart: unless-stopped
`;
const nginxConf = `worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr warn;
events { worker_connections 512; }
http { access_log off; server { listen 80; location / { return 200 "$hostname\\n"; } } }
`;

before(async () => {
  port = await freePort();
  folder = strata.app('traffic', compose('1'));
  writeFileSync(join(folder, 'nginx.conf'), nginxConf);
  await strata.ok(['up', folder], { limitMs: 300_000 });
});
after(() => endClean(strata));

async function during(load: Load, work: () => Promise<void>): Promise<void> {
  try { await work(); } finally { await load.stop(); }
}
const pause = async (load: Load, more: number): Promise<void> => {
  const goal = load.sent + more;
  await waitUntil(() => Promise.resolve(load.sent >= goal), { what: 'requests are sent', limitMs: 60_000 });
};

test('no request fails while the daemon is killed and started 5 times', { timeout: 240_000 }, async (context) => {
  const load = openLoop(`http://127.0.0.1:${port}/`, perSecond);
  await during(load, async () => {
    for (let kill = 0; kill < 5; kill += 1) {
      await pause(load, perSecond);
      assert.ok(await strata.killDaemon());
      await pause(load, perSecond / 2);
      await strata.startDaemon();
    }
    await pause(load, perSecond);
  });
  assert.deepEqual(load.failures, []);
  context.diagnostic(`${load.sent} requests, slowest ${Math.round(load.slowestMs)} ms`);
});

test('no request fails while both replicas are replaced by others', { timeout: 180_000 }, async (context) => {
  const before = (await strata.containers('traffic')).filter((one) => one.service === 'web').map((one) => one.id);
  const load = openLoop(`http://127.0.0.1:${port}/`, perSecond);
  await during(load, async () => {
    writeFileSync(join(folder, 'compose.yaml'), compose('2'));
    await strata.ok(['up', folder]);
    const settled = async () => {
      const web = (await strata.containers('traffic')).filter((one) => one.service === 'web');
      return web.length === 2 && web.every((one) => one.health === 'healthy' && !before.includes(one.id));
    };
    await waitUntil(settled, { what: 'two other replicas serve', limitMs: 60_000, everyMs: 500 });
    await pause(load, perSecond);
  });
  assert.deepEqual(load.failures, []);
  context.diagnostic(`${load.sent} requests, slowest ${Math.round(load.slowestMs)} ms`);
});

test('no request fails while the edge is killed: it is not in the way of what is ready', { timeout: 90_000 }, async () => {
  const [edge] = strata.pidsOf('strata-edge.ts');
  assert.ok(edge !== undefined);
  const load = openLoop(`http://127.0.0.1:${port}/`, perSecond);
  await during(load, async () => {
    await pause(load, perSecond);
    const identity = await identifyProcess(edge);
    assert.ok(identity !== undefined && await signalProcess(identity, 'SIGKILL'));
    await waitUntil(() => Promise.resolve(strata.pidsOf('strata-edge.ts').some((pid) => pid !== edge)), { what: 'another edge runs', limitMs: 40_000 });
    await pause(load, perSecond);
  });
  assert.deepEqual(load.failures, []);
});

/** HAProxy is the one process every request passes: those under way when it dies, and those until it is back, are lost. */
test('HAProxy killed comes back by itself: what fails, fails within 2 s', { timeout: 60_000 }, async (context) => {
  const load = openLoop(`http://127.0.0.1:${port}/`, perSecond);
  await during(load, async () => {
    await pause(load, perSecond);
    for (const pid of strata.pidsOf('haproxy')) { const identity = await identifyProcess(pid); if (identity !== undefined) await signalProcess(identity, 'SIGKILL'); }
    await pause(load, perSecond * 3);
    const failed = load.failures.length;
    await pause(load, perSecond);
    assert.equal(load.failures.length, failed, 'after three seconds all is well');
  });
  assert.ok(load.failures.length <= 2 * perSecond, load.failures.slice(0, 3).join('\n'));
  context.diagnostic(`${load.failures.length} of ${load.sent} failed`);
});
