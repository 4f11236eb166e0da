/** `strata ps` with the daemon up and the example's x86 services running; `docker-compose ps` of as many containers beside it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { runProcess } from '#base';
import { makeBusyboxRoot } from './harness/busybox-layout.ts';
import { awaitQuiet, loadNow, median, p95, report, round, rounds, seconds } from './harness/measure.ts';
import { openDocker, type Docker } from './harness/open-docker.ts';
import { exampleCompose, openStrataApp } from './harness/strata-app.ts';

const barMs = 150;
const containers = 4;

/** `docker-compose ps` of containers that only sleep. */
async function startRival(docker: Docker): Promise<() => Promise<unknown>> {
  const tar = join(docker.folder, 'busybox.tar');
  await runProcess(['tar', '-C', await makeBusyboxRoot(docker.folder), '-cf', tar, '.']);
  await docker.run(['import', tar, 'busybox:bench']);
  const folder = join(docker.folder, 'app');
  await mkdir(folder);
  const file = join(folder, 'compose.yaml');
  await writeFile(file, stringify({ services: Object.fromEntries(Array.from({ length: containers }, (_, at) => [`s${at}`, { image: 'busybox:bench', command: ['/bin/busybox', 'sleep', '100000'], stop_signal: 'SIGKILL' }])) }));
  await docker.compose(['-f', file, 'up', '-d']);
  return () => docker.compose(['-f', file, 'ps']);
}

const app = await openStrataApp('bcl', 197, await exampleCompose(28_482, false));
try {
  await app.up();
  await using docker = await openDocker();
  const rival = docker === undefined ? undefined : await startRival(docker);
  const ours = () => app.strata(['ps', '-p', 'guestbook']);
  // As the first command after a while, when no resident is there to answer it.
  const alone = () => app.strata(['ps', '-p', 'guestbook'], { STRATA_RESIDENT: 'no' });
  for (const one of [ours, ours, alone, rival]) await one?.();
  await awaitQuiet(20_000);
  const load = loadNow();
  const times = { ours: [] as number[], alone: [] as number[], node: [] as number[], rival: [] as number[] };
  for (let at = 0; at < rounds(20); at += 1) {
    times.ours.push(await seconds(ours) * 1000);
    times.alone.push(await seconds(alone) * 1000);
    times.node.push(await seconds(() => runProcess([process.execPath, '-e', '0'])) * 1000);
    if (rival !== undefined) times.rival.push(await seconds(rival) * 1000);
  }
  const took = median(times.ours);
  report({
    bench: 'strata ps', unit: 'ms', strata: round(took, 0), p95: round(p95(times.ours), 0), rival: 'docker-compose ps', rivalValue: rival === undefined ? null : round(median(times.rival), 0),
    ...(rival === undefined ? {} : { rivalP95: round(p95(times.rival), 0), ratio: round(took / median(times.rival)) }), bar: `≤ ${barMs} ms`, met: took <= barMs, rounds: times.ours.length, load, note: `where no resident answers, ${round(median(times.alone), 0)} ms; Node alone, to run nothing, ${round(median(times.node), 0)} ms in the same rounds`,
  });
} finally {
  await app[Symbol.asyncDispose]();
}
