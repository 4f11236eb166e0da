/** Which test files run beside which: by marks in their headers, each file once. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';

interface Queue { readonly files: readonly string[]; readonly lanes: number }
type Plan = (files: readonly { readonly file: string; readonly text: string }[], long: boolean) => readonly (readonly Queue[])[];
const { planStages, computesThoughMarked, mostlyWaits, runsAlone } = await import(new URL('plan-stages.mjs', import.meta.url).href) as { readonly planStages: Plan; readonly computesThoughMarked: (ran: { readonly text: string; readonly seconds: number; readonly processorSeconds: number }) => boolean; readonly mostlyWaits: (text: string) => boolean; readonly runsAlone: (text: string) => boolean };

const plain = '/** Adds. */\n';
const waits = '/**\n * Adds.\n * Mostly waits: for a limit.\n */\n';
const alone = '/**\n * Adds.\n * Runs alone: it is held to a bound of milliseconds.\n */\n';
const files = [
  { file: 'src/a.test.ts', text: plain }, { file: 'src/b.guest.test.ts', text: plain }, { file: 'src/c.test.ts', text: waits },
  { file: 'src/d.guest.test.ts', text: alone }, { file: 'src/e.test.ts', text: plain }, { file: 'tests/f.guest.test.ts', text: plain },
];

test('a mark is one where it stands in the header, with its reason', () => {
  deepEqual([plain, waits, alone].map((text) => [mostlyWaits(text), runsAlone(text)]), [[false, false], [true, false], [false, true]]);
  for (const text of ['/** Adds. Mostly waits: */\n', '/** Adds. */\n/* Mostly waits: too late. */\n', 'const text = \'/** Mostly waits: no header. */\';\n']) equal(mostlyWaits(text), false, text);
});

test('two lanes, one beside them for files that mostly wait, and after both those that run alone; guests last', () => {
  deepEqual(planStages(files, false), [
    [{ lanes: 2, files: ['src/e.test.ts', 'src/a.test.ts', 'tests/f.guest.test.ts', 'src/b.guest.test.ts'] }, { lanes: 1, files: ['src/c.test.ts'] }],
    [{ lanes: 1, files: ['src/d.guest.test.ts'] }],
  ]);
  deepEqual(planStages(files, true).flat().map(({ lanes, files: queued }) => [lanes, queued.length]), [[1, files.length]]);
});

test('each file runs once, whatever its marks', () => {
  const both = { file: 'src/g.test.ts', text: `${alone.slice(0, -4)} * Mostly waits: for a limit.\n */\n` };
  equal(mostlyWaits(both.text) && runsAlone(both.text), true);
  for (const long of [false, true]) deepEqual(planStages([...files, both], long).flat().flatMap((queue) => queue.files).sort(), [...files, both].map(({ file }) => file).sort());
});

test('a file that says it mostly waits and computes most of its time is told apart from one that does wait', () => {
  deepEqual([1, 5, 7].map((processorSeconds) => computesThoughMarked({ text: waits, seconds: 10, processorSeconds })), [false, false, true]);
  equal(computesThoughMarked({ text: plain, seconds: 10, processorSeconds: 15 }), false, 'who does not say so may');
});
