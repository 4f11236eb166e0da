/** What daemon and edge cost while the whole example (both architectures) is up and nobody asks for anything: memory and processor time. */
import { open, readFile } from 'node:fs/promises';
import { systemClock } from '#base';
import { loadNow, report, round } from './harness/measure.ts';
import { exampleCompose, findProcesses, openStrataApp } from './harness/strata-app.ts';

const mostMegabytes = 150;
const mostPercent = 1;
const settleMs = 20_000;
const watchMs = Number(process.env['BENCH_SECONDS'] ?? 60) * 1000;
const ticksPerSecond = 100; // USER_HZ of Linux

interface Cost { readonly residentMb: number; readonly ownMb: number; readonly seconds: number; readonly frames: ReadonlySet<number> }

/** The page frames a process has mapped now (Documentation/admin-guide/mm/pagemap.rst); ranges of which nothing is resident are passed over. */
async function framesOf(pid: number): Promise<ReadonlySet<number>> {
  const frames = new Set<number>();
  const pagemap = await open(`/proc/${pid}/pagemap`);
  try {
    for (const range of (await readFile(`/proc/${pid}/smaps`, 'utf8')).split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) /.exec(range) ?? [];
      if (from === undefined || to === undefined || /^Rss:\s+0 kB/m.test(range)) continue;
      const first = Number(BigInt(`0x${from}`) / 4096n);
      const entries = Buffer.alloc((Number(BigInt(`0x${to}`) / 4096n) - first) * 8);
      await pagemap.read(entries, 0, entries.length, first * 8);
      for (let at = 0; at < entries.length; at += 8) {
        const high = entries.readUInt32LE(at + 4);
        if (high >= 0x8000_0000) frames.add((high & 0x7f_ffff) * 2 ** 32 + entries.readUInt32LE(at)); // bit 63: present; bits 0–54: the frame
      }
    }
  } finally { await pagemap.close(); }
  return frames;
}

async function costOf(pid: number): Promise<Cost> {
  const [rollup, stat] = [await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'), await readFile(`/proc/${pid}/stat`, 'utf8')];
  const megabytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1] ?? 0) * 1024 / 1e6;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // its own time and that of the programs it ran: utime, stime, cutime, cstime
  return { residentMb: megabytes('Rss'), ownMb: megabytes('Pss'), frames: await framesOf(pid), seconds: [11, 12, 13, 14].reduce((total, at) => total + Number(fields[at]), 0) / ticksPerSecond };
}

const sum = (costs: readonly Cost[], of: 'residentMb' | 'ownMb' | 'seconds'): number => costs.reduce((total, one) => total + one[of], 0);

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
  // Together: the Node program that both map is in memory once.
  const megabytes = new Set(after.flatMap(({ frames }) => [...frames])).size * 4096 / 1e6;
  const percent = (sum(after, 'seconds') - sum(before, 'seconds')) / (watchMs / 1000) * 100;
  const each = after.map((one, at) => `${at === 0 ? 'daemon' : 'edge'} ${round(one.residentMb, 0)} MB, its share of shared pages counted once ${round(one.ownMb, 0)} MB`).join('; ');
  report({ bench: 'daemon and edge idle, resident together', unit: 'MB', strata: round(megabytes, 1), rival: '–', rivalValue: null, bar: `≤ ${mostMegabytes} MB`, met: megabytes <= mostMegabytes, load, note: `pages that both map counted once; counted twice ${round(sum(after, 'residentMb'), 1)} MB: ${each}` });
  report({ bench: 'daemon and edge idle, processor', unit: '% of a core', strata: round(percent, 2), rival: '–', rivalValue: null, bar: `≤ ${mostPercent} %`, met: percent <= mostPercent, load, note: `over ${watchMs / 1000} s` });
} finally {
  await app[Symbol.asyncDispose]();
}
