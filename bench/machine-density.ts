/**
 * Many machines on one host under TCG, as clones of 128 MiB without card and disk: fifty from nothing to all answering,
 * against fifty `docker run` in turn; what an idle one holds, and of what; two hundred at once, each asked for a sign of life.
 *
 * BENCH_FIFTY and BENCH_MANY set the numbers, 0 leaves that part out; BENCH_ARCHITECTURE leaves the other out.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { freemem } from 'node:os';
import type { Duplex } from 'node:stream';
import { architectures, silentLog, systemClock, type Architecture } from '#base';
import { ensureGuestOs, type MachineSpec, type RunningMachine } from '#machines';
import { openQemuEngine } from '#machines/qemu';
import { awaitAgent } from './harness/machine-by-hand.ts';
import { awaitQuiet, inTurn, loadNow, median, p95, report, round, rounds, say } from './harness/measure.ts';
import { memorySplit, parts, type MemorySplit } from './harness/memory-split.ts';
import { importBusybox, openDocker, type Docker } from './harness/open-docker.ts';
import { ownInstance } from './harness/own-instance.ts';

const [fifty, many] = [Number(process.env['BENCH_FIFTY'] ?? 50), Number(process.env['BENCH_MANY'] ?? 200)];
const chosen = architectures.filter((one) => (process.env['BENCH_ARCHITECTURE'] ?? one) === one);
const memoryMiB = 128;
/** As many as a daemon starts at once. */
const atOnce = 8;
const [fiftyBar, memoryBar, answerBar] = [8, 35, 1];
/** In turn with ours; they take most of a minute each. */
const dockerRounds = 3;
const settleMs = 10_000;
/** Below this the host is wanted by others too. */
const leastFreeBytes = 4 * 2 ** 30;

await using own = await ownInstance('bmd', 192);
await mkdir(own.folder, { recursive: true });
const engine = openQemuEngine({ instance: own.instance, log: silentLog, guestOs: (architecture) => ensureGuestOs(architecture, own), accelerator: async () => 'tcg', templates: { delayMs: 3600_000 } });
let count = 0;

function specOf(architecture: Architecture): MachineSpec {
  count += 1;
  return { id: `bench${count}`, name: `bench${count}`, architecture, engine: 'qemu', processors: 1, memoryMiB, boot: { kind: 'guest-os' }, scratchMiB: 0, disks: [], network: null, wanted: 'running', owner: null, createdAt: 1, generation: 1 };
}

/** All items, at most `atOnce` of them under way. */
async function forAll<T, R>(items: readonly T[], one: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const left = items.entries();
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (const [at, item] of left) results[at] = await one(item);
  }));
  return results;
}

/** With the agent's line open, as a daemon has it. */
interface Started { readonly machine: RunningMachine; readonly line: Duplex }

async function startClone(architecture: Architecture): Promise<Started> {
  const machine = await engine.start(specOf(architecture));
  if (machine.startedBy?.way !== 'template') throw new Error(`it was booted: ${machine.startedBy?.why}`);
  const line = await machine.openAgentLine();
  await awaitAgent(line);
  return { machine, line };
}

async function answer({ line }: Started): Promise<number> {
  const began = performance.now();
  await awaitAgent(line);
  return (performance.now() - began) / 1000;
}

async function end({ machine, line }: Started): Promise<void> {
  line.destroy();
  await machine.kill();
  await machine.release();
  await engine.erase(machine.id);
}

const startMany = (architecture: Architecture, number: number): Promise<Started[]> => forAll(Array.from({ length: number }, () => architecture), startClone);

/** Of the VMMs alone, in each round. */
const processorOfOne: number[] = [];

async function fiftyClones(architecture: Architecture): Promise<number> {
  const began = performance.now();
  const machines = await startMany(architecture, fifty);
  const took = (performance.now() - began) / 1000;
  processorOfOne.push(await processorSeconds(machines) / machines.length);
  await forAll(machines, end);
  return took;
}

/** Each has said a word before the next takes its place; they run on. */
async function fiftyContainers(docker: Docker): Promise<number> {
  const names = Array.from({ length: fifty }, (_, at) => `many${at}`);
  const began = performance.now();
  await forAll(names, async (name) => {
    await docker.run(['run', '-d', '--name', name, 'busybox:bench', '/bin/busybox', 'sleep', '100000']);
    await docker.run(['exec', name, '/bin/busybox', 'true']);
  });
  const took = (performance.now() - began) / 1000;
  await docker.run(['rm', '-f', ...names]);
  return took;
}

async function measureFifty(architecture: Architecture, docker: Docker | undefined): Promise<void> {
  await forAll(await startMany(architecture, 2), end);
  await awaitQuiet();
  const load = loadNow();
  const times = await inTurn(['clones', 'docker'], Math.min(dockerRounds, rounds(20)), async (who) => (who === 'clones' ? fiftyClones(architecture) : docker === undefined ? 0 : fiftyContainers(docker)));
  while (times.clones.length < rounds(20)) times.clones.push(await fiftyClones(architecture));
  const [ours, theirs] = [median(times.clones), docker === undefined ? null : median(times.docker)];
  report({
    bench: `${fifty} clones from nothing to all answering, ${architecture} (TCG)`, unit: 's', strata: round(ours, 2), p95: round(p95(times.clones), 2), rival: `${fifty} × docker run and exec, busybox`, rivalValue: theirs === null ? null : round(theirs, 2),
    ...(theirs === null ? {} : { ratio: round(ours / theirs) }), rounds: times.clones.length, load, bar: `≤ ${fiftyBar} s`, met: ours <= fiftyBar,
    note: `each VMM took ${round(median(processorOfOne.splice(0)), 2)} s of processor time`,
  });
}

async function measureMany(architecture: Architecture): Promise<void> {
  const machines: Started[] = [];
  try {
    while (machines.length < many && freemem() > leastFreeBytes) machines.push(...await startMany(architecture, Math.min(atOnce, many - machines.length)));
    await systemClock.wait(settleMs);
    const load = loadNow();
    const before = await processorSeconds(machines);
    await systemClock.wait(settleMs);
    const idlePercent = (await processorSeconds(machines) - before) / (settleMs / 1000) * 100;
    reportMemory(architecture, await Promise.all(machines.map(({ machine }) => memorySplit(machine.process.pid))), load);
    const answers: number[] = [];
    for (const machine of machines) answers.push(await answer(machine));
    report({
      bench: `${machines.length} clones at once, each asked in turn for an answer, ${architecture} (TCG): the slowest`, unit: 's', strata: round(Math.max(...answers)), p95: round(p95(answers)), rival: '–', rivalValue: null, load,
      bar: `${many}, ≤ ${answerBar} s each`, met: machines.length === many && Math.max(...answers) <= answerBar, note: `median ${round(median(answers))} s; idle they take ${round(idlePercent, 1)} % of a core together`,
    });
  } finally {
    await forAll(machines, end);
  }
}

async function processorSeconds(machines: readonly Started[]): Promise<number> {
  const times = await Promise.all(machines.map(async ({ machine: { process: { pid } } }) => {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(fields[11]) + Number(fields[12]);
  }));
  return times.reduce((sum, one) => sum + one, 0) / 100; // USER_HZ of Linux
}

function reportMemory(architecture: Architecture, splits: readonly MemorySplit[], load: number): void {
  const megabytes = (of: (split: MemorySplit) => number): number => round(median(splits.map(of)) * 1024 / 1e6, 1);
  const total = megabytes((split) => split.total);
  report({
    bench: `an idle clone of ${memoryMiB} MiB, one of ${splits.length}, ${architecture} (TCG)`, unit: 'MB', strata: total, p95: round(p95(splits.map((split) => split.total)) * 1024 / 1e6, 1), rival: '–', rivalValue: null, load, bar: `≤ ${memoryBar} MB (PSS)`, met: total <= memoryBar,
    note: `${parts.map((part) => `${part} ${megabytes(({ of }) => of[part])}`).join(', ')}; its own alone ${megabytes((split) => split.own)}`,
  });
}

try {
  await using docker = await openDocker();
  if (docker === undefined) say('Debian\'s docker.io and docker-compose are not installed: no figure of Docker');
  else await importBusybox(docker);
  for (const architecture of chosen) {
    await engine.ensureTemplate(specOf(architecture));
    if (fifty > 0) await measureFifty(architecture, docker);
    if (many > 0) await measureMany(architecture);
  }
} finally {
  await engine.close();
  await engine.dropTemplates();
}
