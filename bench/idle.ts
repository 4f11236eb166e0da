/** What daemon and edge cost while the whole example (both architectures) is up and nobody asks for anything: memory and processor time. */
import { readFile } from 'node:fs/promises';
import { systemClock } from '#base';
import { loadNow, report, round } from './harness/measure.ts';
import { exampleCompose, findProcesses, openStrataApp } from './harness/strata-app.ts';

const mostMegabytes = 150;
const mostPercent = 1;
const settleMs = 20_000;
const watchMs = Number(process.env['BENCH_SECONDS'] ?? 60) * 1000;
const ticksPerSecond = 100; // USER_HZ of Linux

interface Cost { readonly residentMb: number; readonly ownMb: number; readonly seconds: number }

async function costOf(pid: number): Promise<Cost> {
  const [rollup, stat] = [await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'), await readFile(`/proc/${pid}/stat`, 'utf8')];
  const megabytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1] ?? 0) * 1024 / 1e6;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // its own time and that of the programs it ran: utime, stime, cutime, cstime
  return { residentMb: megabytes('Rss'), ownMb: megabytes('Pss'), seconds: [11, 12, 13, 14].reduce((total, at) => total + Number(fields[at]), 0) / ticksPerSecond };
}

const sum = (costs: readonly Cost[], of: keyof Cost): number => costs.reduce((total, one) => total + one[of], 0);

const app = await openStrataApp('bid', 196, await exampleCompose(28_481, true));
try {
  await app.up();
  await systemClock.wait(settleMs);
  const edge = (await findProcesses('strata-edge.ts', app.own.instance.runDir))[0];
  if (edge === undefined) throw new Error('there is no edge');
  const processes = [await app.daemon(), edge];
  const load = loadNow();
  const before = await Promise.all(processes.map(costOf));
  await systemClock.wait(watchMs);
  const after = await Promise.all(processes.map(costOf));
  const megabytes = sum(after, 'residentMb');
  const percent = (sum(after, 'seconds') - sum(before, 'seconds')) / (watchMs / 1000) * 100;
  const each = after.map((one, at) => `${at === 0 ? 'daemon' : 'edge'} ${round(one.residentMb, 0)} MB, its share of shared pages counted once ${round(one.ownMb, 0)} MB`).join('; ');
  report({ bench: 'daemon and edge idle, resident', unit: 'MB', strata: round(megabytes, 1), rival: '–', rivalValue: null, bar: `≤ ${mostMegabytes} MB`, met: megabytes <= mostMegabytes, load, note: each });
  report({ bench: 'daemon and edge idle, processor', unit: '% of a core', strata: round(percent, 2), rival: '–', rivalValue: null, bar: `≤ ${mostPercent} %`, met: percent <= mostPercent, load, note: `over ${watchMs / 1000} s` });
} finally {
  await app[Symbol.asyncDispose]();
}
