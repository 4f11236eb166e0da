/**
 * Copies and rests of a machine, through the API: a fork of one that runs (how long it stood still by the daemon's own log, and when
 * the fork answers), going on after suspension, and a linked clone of a machine with a disk of 20 GB. The bars are for the
 * guest's answer; how long it takes until a program has run in it too stands beside what is nearest of Docker, which has
 * nothing like it.
 */
import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { apiSocketPath, hostArchitecture, waitUntil } from '#base';
import { followOperation, openClient, type Client, type Operation } from '#client';
import { awaitQuiet, loadNow, median, p95, report, round, rounds, say, seconds } from './harness/measure.ts';
import { importBusybox, openDocker, type Docker } from './harness/open-docker.ts';
import { openOwnStrata, type OwnStrata } from './harness/strata-app.ts';

const bars = { stoodStill: 0.1, fork: 0.5, resume: 0.5, clone: 0.3, cloneBytes: 1e6 };
const forkedMiB = 512;
const changedMiB = 220;
const forksOfOne = 5;
const suspendedMiB = 256;
const diskMiB = 20 * 1024;

async function ended(client: Client, { id, kind }: Operation): Promise<void> {
  let last: Operation | undefined;
  for await (const seen of followOperation(client, id)) last = seen;
  if (last?.status !== 'succeeded') throw new Error(`${kind}: ${JSON.stringify(last?.error)}`);
}

async function phaseIs(client: Client, machine: string, phase: string): Promise<void> {
  await waitUntil(async () => (await client.call('getMachine', { params: { machine } })).phase === phase, { what: `${machine} is ${phase}`, limitMs: 120_000, everyMs: 10 });
}

/** Its agent has answered; seconds from `began` until then, and until a program has run in it. */
async function answerTimes(client: Client, machine: string, began: number): Promise<{ readonly answered: number; readonly ran: number }> {
  await phaseIs(client, machine, 'running');
  const answered = (performance.now() - began) / 1000;
  await runs(client, machine, 'true');
  return { answered, ran: (performance.now() - began) / 1000 };
}

async function runs(client: Client, machine: string, ...argv: readonly string[]): Promise<void> {
  const terminal = await client.terminal('execInMachine', machine, { argv: ['/bin/busybox', ...argv], stdin: false });
  terminal.output.resume();
  const code = await terminal.done;
  terminal.close();
  if (code !== 0) throw new Error(`busybox ended with ${code} in ${machine}`);
}

async function create(client: Client, name: string, memoryMiB: number, disks: readonly { readonly name: string; readonly sizeMiB: number; readonly backend: 'vmm' }[] = []): Promise<void> {
  await client.call('createMachine', { body: { name, engine: 'qemu', architecture: hostArchitecture, memoryMiB, disks: [...disks] } });
  await answerTimes(client, name, 0);
}

async function remove(client: Client, machine: string): Promise<void> {
  await client.call('removeMachine', { params: { machine }, query: { force: true } });
  await waitUntil(async () => !(await client.call('listMachines')).items.some(({ name }) => name === machine), { what: `${machine} is gone`, limitMs: 60_000, everyMs: 20 });
}

/** Of all copies that were made, in order, in seconds. */
async function timesStoodStill({ own }: OwnStrata): Promise<number[]> {
  const lines = (await readFile(join(own.instance.stateDir, 'daemon.log'), 'utf8')).split('\n').filter((line) => line.includes('"stoodStillMs"'));
  return lines.map((line) => (JSON.parse(line) as { stoodStillMs: number }).stoodStillMs / 1000);
}

/** Pages that it has changed and keeps, as a service with data in memory has them. */
async function original(client: Client, changedMiB: number): Promise<void> {
  await create(client, 'original', forkedMiB);
  if (changedMiB > 0) await runs(client, 'original', 'sh', '-c', `mkdir -p /run/data && mount -t tmpfs -o size=90% none /run/data && dd if=/dev/urandom of=/run/data/changed bs=1M count=${changedMiB}`);
}

async function measureForks(strata: OwnStrata, client: Client, docker: Docker | undefined, changedMiB = 0): Promise<void> {
  const before = (await timesStoodStill(strata)).length;
  await original(client, changedMiB);
  await awaitQuiet();
  const load = loadNow();
  const [took, rival]: [{ answered: number; ran: number }[], number[]] = [[], []];
  for (let at = 0; at < rounds(20); at += 1) {
    // Each fork lays a layer on its original's disks, of which each costs the next fork some 15 ms.
    if (at % forksOfOne === 0 && at > 0) {
      await remove(client, 'original');
      await original(client, changedMiB);
      await awaitQuiet(10_000);
    }
    const began = performance.now();
    await ended(client, await client.call('forkMachine', { params: { machine: 'original' }, body: { name: `fork${at}` } }));
    took.push(await answerTimes(client, `fork${at}`, began));
    await remove(client, `fork${at}`);
    if (docker !== undefined) rival.push(await seconds(() => docker.run(['run', '--rm', 'busybox:bench', '/bin/busybox', 'true'])));
  }
  const stood = (await timesStoodStill(strata)).slice(before);
  const what = `fork of a running machine of ${forkedMiB} MiB that changed ${changedMiB === 0 ? 'little' : `${changedMiB} MiB`}`;
  const beside = { rival: 'docker run, busybox (a new container, no copy)', rivalValue: docker === undefined ? null : round(median(rival), 2), rounds: took.length, load };
  report({ bench: `${what}: it stood still`, unit: 's', strata: round(median(stood)), p95: round(p95(stood)), rival: '–', rivalValue: null, rounds: stood.length, load, bar: `≤ ${bars.stoodStill} s`, met: median(stood) <= bars.stoodStill });
  reportAnswers(what, took, beside, changedMiB === 0 ? bars.fork : undefined);
  await remove(client, 'original');
}

function reportAnswers(what: string, took: readonly { readonly answered: number; readonly ran: number }[], beside: { readonly rival: string; readonly rivalValue: number | null; readonly rounds: number; readonly load: number }, bar?: number): void {
  const [answered, ran] = [took.map((one) => one.answered), took.map((one) => one.ran)];
  report({ bench: `${what}: it answers`, unit: 's', strata: round(median(answered), 2), p95: round(p95(answered), 2), rival: '–', rivalValue: null, rounds: beside.rounds, load: beside.load, ...(bar === undefined ? {} : { bar: `≤ ${bar} s`, met: median(answered) <= bar }) });
  report({ bench: `${what}: a program has run in it`, unit: 's', strata: round(median(ran), 2), p95: round(p95(ran), 2), ...beside, ...(beside.rivalValue === null ? {} : { ratio: round(median(ran) / beside.rivalValue, 2) }) });
}

async function measureResumes(client: Client, docker: Docker | undefined): Promise<void> {
  await create(client, 'sleeper', suspendedMiB);
  await docker?.run(['run', '-d', '--name', 'sleeper', 'busybox:bench', '/bin/busybox', 'sleep', '100000']);
  await awaitQuiet();
  const load = loadNow();
  const [took, rival]: [{ answered: number; ran: number }[], number[]] = [[], []];
  for (let at = 0; at < rounds(20); at += 1) {
    await client.call('suspendMachine', { params: { machine: 'sleeper' }, body: {} });
    await phaseIs(client, 'sleeper', 'suspended');
    const began = performance.now();
    await client.call('resumeMachine', { params: { machine: 'sleeper' }, body: {} });
    took.push(await answerTimes(client, 'sleeper', began));
    if (docker === undefined) continue;
    await docker.run(['kill', 'sleeper']);
    rival.push(await seconds(async () => { await docker.run(['start', 'sleeper']); await docker.run(['exec', 'sleeper', '/bin/busybox', 'true']); }));
  }
  const beside = { rival: 'docker start and docker exec, busybox (its memory is lost)', rivalValue: docker === undefined ? null : round(median(rival), 2), rounds: took.length, load };
  reportAnswers(`resume of a suspended machine of ${suspendedMiB} MiB`, took, beside, bars.resume);
  await remove(client, 'sleeper');
}

async function measureClones({ own }: OwnStrata, client: Client): Promise<void> {
  await create(client, 'big', suspendedMiB, [{ name: 'data', sizeMiB: diskMiB, backend: 'vmm' }]);
  await client.call('stopMachine', { params: { machine: 'big' }, body: {} });
  await phaseIs(client, 'big', 'stopped');
  await awaitQuiet();
  const load = loadNow();
  const [took, bytes]: [number[], number[]] = [[], []];
  const used = async (): Promise<number> => { const { blocks, bfree, bsize } = await statfs(own.instance.stateDir); return (blocks - bfree) * bsize; };
  for (let at = 0; at < rounds(20); at += 1) {
    const before = await used();
    took.push(await seconds(async () => ended(client, await client.call('cloneMachine', { params: { machine: 'big' }, body: { name: `clone${at}` } }))));
    bytes.push(await used() - before);
  }
  report({
    bench: `linked clone of a machine with a disk of ${diskMiB / 1024} GB, from the request to its end`, unit: 's', strata: round(median(took)), p95: round(p95(took)), rival: '–', rivalValue: null, rounds: took.length, load, bar: `< ${bars.clone} s, < 1 MB`,
    met: median(took) < bars.clone && median(bytes) < bars.cloneBytes, note: `it took ${round(median(bytes) / 1e6, 2)} MB of the host's disk, all of the instance's files counted`,
  });
  for (let at = 0; at < took.length; at += 1) await remove(client, `clone${at}`);
  await remove(client, 'big');
}

await using strata = await openOwnStrata('bmcp', 189);
await strata.strata(['machine', 'ls']);
const client = openClient(apiSocketPath(strata.own.instance));
try {
  await using docker = await openDocker();
  if (docker === undefined) say('Debian\'s docker.io and docker-compose are not installed: no figure of Docker');
  else await importBusybox(docker);
  await measureForks(strata, client, docker);
  await measureForks(strata, client, undefined, changedMiB);
  await measureResumes(client, docker);
  await measureClones(strata, client);
} finally {
  for (const { name } of (await client.call('listMachines')).items) await remove(client, name);
  client.close();
}
