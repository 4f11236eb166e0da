/** A process that carries out a plan is killed before and after each step: the next run completes or has nothing to do. */
import { deepEqual, equal } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const kinds = ['make.tap', 'make.disk', 'make.start'];
const folder = mkdtempSync(join(tmpdir(), 'strata-crash-'));
after(() => rmSync(folder, { recursive: true }));

/** Makes one file for each step; both directions may run twice. */
const program = `
import { writeFileSync, rmSync } from 'node:fs';
import { performPlan } from ${JSON.stringify(new URL('perform-plan.ts', import.meta.url).href)};
const [folder] = process.argv.slice(1);
const operations = ${JSON.stringify(kinds)}.map((kind) => ({ kind, subject: kind, summary: kind }));
const performer = { async perform({ kind }) { writeFileSync(folder + '/' + kind, ''); }, async undo({ kind }) { rmSync(folder + '/' + kind, { force: true }); } };
await performPlan({ operations, performers: Object.fromEntries(operations.map(({ kind }) => [kind, performer])), signal: new AbortController().signal });
`;

function run(world: string, failpoints = ''): NodeJS.Signals | null {
  const { signal, status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program, world], { encoding: 'utf8', env: { ...process.env, STRATA_FAILPOINTS: failpoints } });
  if (signal === null) equal(status, 0, stderr);
  return signal;
}

for (const [index, kind] of kinds.entries()) {
  for (const side of ['before', 'after'] as const) {
    test(`[R6] killed ${side} ${kind}: what was done is there, and the next run completes it`, () => {
      const world = mkdtempSync(join(folder, 'world-'));
      equal(run(world, `${kind}.${side}=kill`), 'SIGKILL');
      deepEqual(readdirSync(world).sort(), kinds.slice(0, index + (side === 'after' ? 1 : 0)).sort());
      equal(run(world), null);
      deepEqual(readdirSync(world).sort(), kinds.toSorted());
    });
  }
}
