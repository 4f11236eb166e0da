/** Kills a writing process at random moments and looks for what it had acknowledged. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { childEnvironment, seededDice } from '#base';
import { openSqliteStore } from './open-sqlite-store.ts';

/** Runs the writer until it is killed that long after it opened the store; returns what it acknowledged. */
async function killedWriter(path: string, round: number, afterMs: number): Promise<string[]> {
  const child = spawn(process.execPath, [new URL('acknowledging-writer.ts', import.meta.url).pathname, path, String(round)], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...childEnvironment } });
  let out = '';
  const opened = new Promise<void>((resolve) => child.stdout.setEncoding('utf8').on('data', (text: string) => { out += text; if (out.startsWith('open\n')) resolve(); }));
  const closed = once(child, 'close');
  await Promise.race([opened, closed]);
  await wait(afterMs);
  child.kill('SIGKILL');
  await closed;
  ok(out.startsWith('open\n'), 'the writer never opened the store');
  return out.split('\n').slice(1, -1); // the last line may be cut
}

test('[S10] kill -9 at twenty random moments loses nothing acknowledged and halves nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'strata-durable-'));
  const path = join(folder, 'store.db');
  const dice = seededDice(Number(process.env['STRATA_SEED'] ?? 20));
  const acknowledged: string[] = [];
  try {
    for (let round = 0; round < 20; round += 1) {
      acknowledged.push(...await killedWriter(path, round, 5 + dice.fraction() * 60));
      const store = await openSqliteStore({ path });
      const [left, right] = [(await store.list('left/')).entries, (await store.list('right/')).entries];
      await store.close();
      const there = new Set(left.map((one) => one.key.slice('left/'.length)));
      deepEqual(acknowledged.filter((name) => !there.has(name)), [], `round ${round}`);
      deepEqual(left.map((one) => one.key.slice(5)), right.map((one) => one.key.slice(6)), `round ${round}`);
      equal(new Set([...left, ...right].map((one) => one.revision)).size, left.length, 'one revision for each pair');
    }
    ok(acknowledged.length > 200, `only ${acknowledged.length} acknowledgements: the test saw too little`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
