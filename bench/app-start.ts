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
import { awaitQuiet, inTurn, judge, loadNow, median, p95, report, round, rounds, say } from './harness/measure.ts';
import { openDocker, type Docker } from './harness/open-docker.ts';
import { exampleCompose, openStrataApp, untilAnswer, type ComposeFile, type StrataApp } from './harness/strata-app.ts';

const bar = 12;
const port = 28_480;
const url = `http://127.0.0.1:${port}/api/entries`;

interface UpTimes { readonly answered: number; readonly returned: number }

async function upOfStrata(app: StrataApp): Promise<UpTimes> {
  const times = await untilAnswer(url, app.up);
  await app.down();
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

/** How long `docker-compose up` takes to its first answer. */
async function prepareRival(docker: Docker, app: StrataApp): Promise<() => Promise<number>> {
  await loadImages(docker, app);
  const folder = join(docker.folder, 'guestbook');
  await mkdir(folder);
  await writeFile(join(folder, 'compose.yaml'), composeForDocker(app.compose));
  const compose = (...words: string[]) => docker.compose(['-f', join(folder, 'compose.yaml'), '-p', 'guestbook', ...words]);
  return async () => {
    const began = performance.now();
    const up = compose('up', '-d');
    up.catch(() => undefined);
    await docker.inside(['curl', '--silent', '--fail', '--output', '/dev/null', '--retry', '3000', '--retry-all-errors', '--retry-delay', '0', '--retry-max-time', '60', '--max-time', '5', url], 90_000).catch(() => up.then(() => Promise.reject(new Error('Docker\'s app never answered'))));
    const took = (performance.now() - began) / 1000;
    await up;
    await compose('down');
    return took;
  };
}

const app = await openStrataApp('bas', 195, await exampleCompose(port, false));
try {
  say('building or finding the images');
  await app.up();
  await app.down();
  await using docker = await openDocker();
  if (docker === undefined) say('Debian\'s docker.io and docker-compose are not installed: no figure of Docker');
  const rival = docker === undefined ? undefined : await prepareRival(docker, app);
  await app.up(); // its daemon was ended for the images: not one that has just begun
  await app.down();
  await rival?.();
  await awaitQuiet();
  const load = loadNow();
  const returned: number[] = [];
  const times = await inTurn(['ours', 'docker'], rounds(20), async (who) => {
    await awaitQuiet(10_000);
    if (who === 'docker') return await rival?.() ?? 0;
    const up = await upOfStrata(app);
    returned.push(up.returned);
    return up.answered;
  });
  const [ours, theirs] = [median(times.ours), rival === undefined ? undefined : median(times.docker)];
  report({
    bench: 'the example\'s x86 services to first answer', unit: 's', strata: round(ours, 2), p95: round(p95(times.ours), 2), rival: 'docker-compose of the same images', rivalValue: theirs === undefined ? null : round(theirs, 2),
    ...(theirs === undefined ? {} : { rivalP95: round(p95(times.docker), 2), ratio: round(ours / theirs, 2) }),
    bar: `≤ ${bar} s, ≤ 1 × docker-compose`, ...judge(ours <= bar, theirs === undefined ? undefined : ours <= theirs), rounds: times.ours.length, load,
    note: `strata up itself returned after ${round(median(returned), 2)} s, with both web replicas healthy; Docker has no machine to boot and one web container`,
  });
} finally {
  await app[Symbol.asyncDispose]();
}
