/** A captured guest for tests: what it does to the daemon (hostile-guest.c), and what the daemon and others make of it meanwhile. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { runProcess, waitUntil } from '#base';
import type { Machine } from '#client';
import { daemonWeight } from './daemon-weight.ts';
import type { CliResult, TestInstance } from './test-instance.ts';

export interface HostileGuest {
  readonly name: string;
  /** Writes a file in it. */
  put(path: string, bytes: Uint8Array): Promise<void>;
  seen(): Promise<Machine>;
  /** Lets it begin, and does not wait for its end. */
  begin(attack: string): Promise<void>;
  /** What the attack printed; it can be read when the guest is itself again. */
  ended(limitMs: number): Promise<string>;
}

const flags = ['-Os', '-ffreestanding', '-nostdlib', '-static', '-fno-stack-protector', '-fno-asynchronous-unwind-tables', '-fno-pie', '-no-pie', '-s', '-Wl,--build-id=none', '-Wl,-z,noseparate-code'];

/** A machine of this name, with `/hostile` in it. */
export async function openHostileGuest(strata: TestInstance, name: string, engine = 'auto'): Promise<HostileGuest> {
  await strata.ok(['machine', 'create', name, '--engine', engine, '--memory', '192M', '--cpus', '1']);
  const run = (script: string): Promise<CliResult> => strata.ok(['machine', 'exec', name, '--', 'sh', '-c', script], { limitMs: 120_000 });
  const put = async (path: string, bytes: Uint8Array): Promise<void> => { await run(`echo ${gzipSync(bytes).toString('base64')} | base64 -d | gunzip > ${path}`); };
  const program = join(strata.folder, 'hostile');
  await runProcess(['gcc', ...flags, '-o', program, join(import.meta.dirname, 'hostile-guest.c')], { timeoutMs: 60_000 });
  await put('/hostile', readFileSync(program)); // nothing under /tmp is run
  await run('chmod +x /hostile');
  return {
    name, put,
    seen: async () => (await strata.client().call('listMachines')).items.find((one) => one.name === name) as Machine,
    async begin(attack) { await run(`rm -f /tmp/result; (setsid sh -c '${attack} > /tmp/new; mv /tmp/new /tmp/result' < /dev/null > /dev/null 2>&1 &)`); },
    ended: (limitMs) => waitUntil(async () => {
      const { code, stdout } = await strata.cli(['machine', 'exec', name, '--', 'cat', '/tmp/result'], { limitMs: 60_000 });
      return code === 0 && stdout.trim() !== '' ? stdout.trim() : undefined;
    }, { what: 'the attack is over and the machine answers', limitMs, everyMs: 500 }),
  };
}

/** What others waited for while something went on: for the daemon's list of machines, and for a command in another machine. */
export interface Waits { readonly api: readonly number[]; readonly neighbour: readonly number[] }

/** Asks until that has ended; milliseconds, the shortest first. */
export async function askOthers(strata: TestInstance, neighbour: string, until: Promise<unknown>): Promise<Waits> {
  let over = false;
  const end = until.finally(() => { over = true; });
  end.catch(() => undefined); // told below
  const asking = async (ask: () => Promise<unknown>, everyMs: number): Promise<readonly number[]> => {
    const waits: number[] = [];
    while (!over) {
      const began = performance.now();
      await ask();
      waits.push(performance.now() - began);
      await new Promise((resolve) => { setTimeout(resolve, everyMs); });
    }
    return waits.toSorted((one, other) => one - other);
  };
  const [api, commands] = await Promise.all([
    asking(() => strata.client().call('listMachines'), 50), asking(() => strata.ok(['machine', 'exec', neighbour, '--', 'true'], { limitMs: 60_000 }), 2000),
  ]);
  await end;
  return { api, neighbour: commands };
}

/** Of numbers in their order. */
export const percentile = (sorted: readonly number[], share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;

/** What the daemon weighs at least while it rests: it collects its garbage when a busy time is over, looking every ten seconds. */
export async function weightAtRest(strata: TestInstance): Promise<number> {
  const end = performance.now() + 25_000;
  let least = Number.MAX_SAFE_INTEGER;
  await waitUntil(async () => { least = Math.min(least, (await daemonWeight(strata)).rssKiB); return performance.now() > end; }, { what: 'the daemon has rested', limitMs: 60_000, everyMs: 500 });
  return least;
}

/** What the daemon weighs once it is about as light as it was. @throws Error where it does not become so */
export async function lightAgain(strata: TestInstance, beforeKiB: number, slackKiB: number): Promise<number> {
  let last = 0;
  return waitUntil(async () => { last = (await daemonWeight(strata)).rssKiB; return last < beforeKiB + slackKiB && last; }, { what: `the daemon is as light as before (${beforeKiB} KiB)`, limitMs: 60_000, everyMs: 500 })
    .catch((thrown: unknown) => { throw new Error(`the daemon went from ${beforeKiB} to ${last} KiB`, { cause: thrown }); });
}
