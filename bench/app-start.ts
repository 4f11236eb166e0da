/**
 * The example's x86 services, images present, nothing running but the daemon: from `strata up` to the first correct
 * answer through the gateway (nginx, the API, Redis). Docker Compose with the same files in its images stands beside it,
 * its daemon running too: containers on the host's kernel at native speed against a machine under emulation.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { runProcess, silentLog, systemClock } from '#base';
import { openImages } from '#containers';
import { openSqliteStore } from '#store/sqlite';
import { awaitQuiet, loadNow, median, p95, report, round, rounds, say } from './harness/measure.ts';
import { openDocker, type Docker } from './harness/open-docker.ts';
import { exampleCompose, openStrataApp, untilAnswer, type ComposeFile, type StrataApp } from './harness/strata-app.ts';

const bar = 12;
const port = 28_480;
const url = `http://127.0.0.1:${port}/api/entries`;

async function measureStrata(app: StrataApp, count: number): Promise<{ readonly answered: number[]; readonly returned: number[] }> {
  const times = { answered: [] as number[], returned: [] as number[] };
  for (let at = 0; at < count; at += 1) {
    await awaitQuiet(10_000);
    const { answered, returned } = await untilAnswer(url, app.up);
    times.answered.push(answered);
    times.returned.push(returned);
    await app.down();
  }
  return times;
}

/** The same files, command and health checks; one web container, because two cannot publish one port there. */
async function loadImages(docker: Docker, app: StrataApp): Promise<void> {
  await app.endDaemon(); // it alone may read the store while it lives
  await using store = { value: await openSqliteStore({ path: join(app.own.instance.stateDir, 'strata.db') }), async [Symbol.asyncDispose]() { await this.value.close(); } };
  const images = openImages({ instance: app.own.instance, store: store.value, clock: systemClock, log: silentLog });
  for (const { image: reference } of Object.values(app.compose.services)) {
    const image = await images.find(reference, 'x86_64');
    if (image === undefined) throw new Error(`${reference} is not there`);
    const folder = join(docker.folder, 'unpacked');
    await runProcess(['unsquashfs', '-no-progress', '-dest', folder, images.squashfsPath(image)], { timeoutMs: 120_000 });
    const tar = join(docker.folder, 'image.tar');
    await runProcess(['tar', '-C', folder, '--numeric-owner', '-cf', tar, '.'], { timeoutMs: 120_000 });
    await docker.run(['import', '--change', `CMD ${JSON.stringify(image.config.command)}`, '--change', `ENV ${image.config.env.find((one) => one.startsWith('PATH=')) ?? 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'}`, tar, `${reference}:latest`]);
    await rm(folder, { recursive: true });
    await rm(tar);
  }
}

function composeForDocker(file: ComposeFile): string {
  const services = Object.fromEntries(Object.entries(file.services).map(([name, { build: _build, 'x-strata': _own, deploy: _deploy, ...rest }]) => [name, rest]));
  return stringify({ ...file, services });
}

async function measureDocker(app: StrataApp, count: number): Promise<number[]> {
  await using docker = await openDocker();
  if (docker === undefined) { say('Debian\'s docker.io and docker-compose are not installed: no figure of Docker'); return []; }
  await loadImages(docker, app);
  const folder = join(docker.folder, 'guestbook');
  await mkdir(folder);
  await writeFile(join(folder, 'compose.yaml'), composeForDocker(app.compose));
  const compose = (...words: string[]) => docker.compose(['-f', join(folder, 'compose.yaml'), '-p', 'guestbook', ...words]);
  const times: number[] = [];
  for (let at = 0; at < count; at += 1) {
    const began = performance.now();
    const up = compose('up', '-d');
    up.catch(() => undefined);
    await docker.inside(['curl', '--silent', '--fail', '--output', '/dev/null', '--retry', '3000', '--retry-all-errors', '--retry-delay', '0', '--retry-max-time', '60', '--max-time', '5', url], 90_000).catch(() => up.then(() => Promise.reject(new Error('Docker\'s app never answered'))));
    times.push((performance.now() - began) / 1000);
    await up;
    await compose('down');
  }
  return times;
}

const app = await openStrataApp('bas', 195, await exampleCompose(port, false));
try {
  say('building or finding the images');
  await app.up();
  await app.down();
  await awaitQuiet();
  const load = loadNow();
  const times = await measureStrata(app, rounds(4));
  const docker = await measureDocker(app, rounds(4));
  const ours = median(times.answered);
  report({
    bench: 'the example\'s x86 services to first answer', unit: 's', strata: round(ours, 2), p95: round(p95(times.answered), 2), rival: 'docker-compose of the same images', rivalValue: docker.length === 0 ? null : round(median(docker), 2),
    ...(docker.length === 0 ? {} : { rivalP95: round(p95(docker), 2), ratio: round(ours / median(docker), 2) }),
    bar: `≤ ${bar} s`, met: ours <= bar, rounds: times.answered.length, load, note: `strata up itself returned after ${round(median(times.returned), 2)} s, with both web replicas healthy; Docker has no machine to boot and one web container`,
  });
} finally {
  await app[Symbol.asyncDispose]();
}
