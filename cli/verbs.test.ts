/** The verbs as declared: complete, documented, light to load; and the parts that need no process. */
import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import type { Operation, Step } from '#client';
import { endpoints } from '../contract/endpoints.ts';
import { openTestApi } from '../src/api/test-api.ts';
import { verbs } from './command-tree.ts';
import { splitFolder } from './choose-app.ts';
import { shadeOf, wantsColour } from './colour.ts';
import { commandLineDocs } from './command-line-docs.ts';
import { inert } from './explain.ts';
import { parseMiB } from './parse-size.ts';
import { age, bytes, tableText } from './print-list.ts';
import { duration, openProgress, visibleSteps } from './show-progress.ts';
import { systemdUnit } from './systemd-unit.ts';
import { tame } from './verbs/logs.ts';

/** Operations without a verb of their own, and why. */
const withoutVerb: Readonly<Record<string, string>> = {
  getLiveness: 'for supervisors', getReadiness: 'asked by every verb before its work', getOpenApi: 'for programs',
};

test('[L6] each operation of the API has a verb or a reason', () => {
  const used = new Set<string>(verbs.flatMap((verb) => verb.operations));
  for (const id of Object.keys(endpoints)) ok(used.has(id) !== id in withoutVerb, `${id}: ${used.has(id) ? 'has a verb and an exception' : 'has no verb'}`);
  for (const verb of verbs) for (const id of verb.operations) ok(id in endpoints, `${verb.name}: ${id}`);
});

test('[L6] each verb can be loaded and runs under its own name', async () => {
  equal(new Set(verbs.map((verb) => verb.name)).size, verbs.length);
  for (const verb of verbs) equal(typeof (await verb.load()).run, 'function', verb.name);
});

test('[L7] docs/cli.md is what the verbs say', () => {
  equal(readFileSync(new URL('../docs/cli.md', import.meta.url), 'utf8'), commandLineDocs(), 'run `node tools/generate-cli-docs.ts`');
});

test('[L11] no verb needs the schema library or YAML to start', () => {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const match of readFileSync(file, 'utf8').matchAll(/^(?:import|export)\s+(?!type\b)[^;]*?from '([^']+)';/gms)) {
      const target = match[1] as string;
      ok(!['zod', 'yaml', 'pino'].includes(target), `${file} loads ${target}`);
      ok(!target.startsWith('#') || target === '#client', `${file} loads ${target}`);
      if (target === '#client') visit(join(root, 'client/index.ts'));
      else if (target.startsWith('.')) visit(resolve(dirname(file), target));
    }
  };
  for (const file of ['cli/run-command-line.ts', ...['ps', 'up', 'logs', 'exec', 'machine-ls'].map((name) => `cli/verbs/${name}.ts`)]) visit(join(root, file));
  ok(seen.size > 20, 'the walk saw too little');
});

test('[L8] text of guests keeps its colours and nothing else', () => {
  equal(tame('\u001b[31mred\u001b[0m', true), '\u001b[31mred\u001b[0m\u001b[0m');
  equal(tame('\u001b[31mred\u001b[0m', false), 'red');
  equal(tame('a\u001b]52;c;ZXZpbA==\u0007b\u001b[2Jc\u001b[6nd\u001bPq\u001b\\e\rf\u0007\u009b31mg', true), 'abcdef31mg');
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom('\u001b', '[', ']', '3', '1', 'm', ';', '\u0007', 'J', 'a', '\n', '\u009b', 'P', '\\', '?') }), (text) => {
    ok(!tame(text, false).includes('\u001b'), JSON.stringify(text));
    for (const sequence of tame(text, true).matchAll(/\u001b(.{0,8})/gs)) match(sequence[0], /^\u001b\[[\d;:]*m/);
    ok(!/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(inert(text)));
  }), { numRuns: 500 });
  equal(tableText([{ name: 'a\u001b[2J\nb' }], { name: (one) => one.name, columns: [{ head: 'NAME', value: (one) => one.name }] }, { headed: false }), 'a b\n');
});

test('[L3] a table shortens long texts, unless it is wide or told not to', () => {
  const form = { name: () => '', columns: [{ head: 'STATUS', atMost: 12, value: (one: string) => one }, { head: 'PORTS', value: () => '80' }] };
  equal(tableText(['running (unhealthy):\nGET /', 'running'], form), ['STATUS        PORTS', 'running (un…  80', 'running       80', ''].join('\n'));
  for (const options of [{ wide: true }, { whole: true }]) match(tableText(['running (unhealthy):\nGET /'], form, options), /running \(unhealthy\): GET \/ {2}80/);
});

test('[L15] on a small screen what runs or failed is never hidden', () => {
  const steps = fc.array(fc.constantFrom('waiting', 'running', 'done', 'skipped', 'failed', 'undone'), { maxLength: 60 });
  fc.assert(fc.property(steps, fc.integer({ min: 1, max: 40 }), (statuses, rows) => {
    const all = statuses.map((status, at): Step => ({ kind: 'k', subject: String(at), summary: String(at), status, note: '', startedAt: null, finishedAt: null }));
    const shown = visibleSteps({ steps: all } as unknown as Operation, rows);
    ok(shown.length <= Math.max(rows, 1));
    deepEqual(shown.map((step) => Number(step.subject)), shown.map((step) => Number(step.subject)).sort((a, b) => a - b));
    const urgent = all.filter((step) => step.status === 'failed' || step.status === 'running');
    equal(shown.filter((step) => urgent.includes(step)).length, Math.min(urgent.length, rows));
  }), { numRuns: 200 });
});

test('[L15] why the only step failed is told once, at the end; of several each tells its own', () => {
  const failed: Step = { kind: 'image.pull', subject: 'x', summary: 'pull x', status: 'failed', note: 'no such registry', startedAt: '2026-01-02T03:04:05.000Z', finishedAt: '2026-01-02T03:04:06.000Z' };
  const shown = (isTTY: boolean, ...steps: Step[]): string => {
    let text = '';
    const progress = openProgress({ isTTY, columns: 80, rows: 24, write: (part: string) => { text += part; return true; } } as unknown as NodeJS.WriteStream, { quiet: false, colour: false });
    progress.show({ kind: 'image.pull', subject: 'x', status: 'running', steps, warnings: [], error: null } as unknown as Operation);
    progress.end();
    return text;
  };
  for (const isTTY of [true, false]) {
    match(shown(isTTY, failed), /pull x/);
    ok(!shown(isTTY, failed).includes('registry'));
    match(shown(isTTY, failed, { ...failed, summary: 'pull y', status: 'done', note: '' }), /pull x.*no such registry/);
  }
});

test('[L15] a warning of an operation is told in full, also where its line on the screen is short', () => {
  const warning = `box booted anew: ${'what was in its memory is lost, '.repeat(4)}to the last word`;
  for (const isTTY of [true, false]) {
    let text = '';
    const progress = openProgress({ isTTY, columns: 80, rows: 24, write: (part: string) => { text += part; return true; } } as unknown as NodeJS.WriteStream, { quiet: false, colour: false });
    progress.show({ kind: 'machine.restore', subject: 'box', status: 'succeeded', steps: [], warnings: [warning], error: null } as unknown as Operation);
    progress.end();
    equal(text.split(`warning: ${warning}\n`).length, 2, String(isTTY));
  }
});

test('[L3] times, sizes and colours read as people write them', () => {
  equal(age('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:01:30Z')), '90s');
  equal(age('2026-01-01T00:00:00Z', Date.parse('2026-01-01T05:00:00Z')), '5h');
  equal(bytes(999), '999 B');
  equal(bytes(1_500_000), '1.5 MB');
  equal(duration({ startedAt: '2026-01-01T00:00:00Z', finishedAt: '2026-01-01T00:03:04Z' }, 0), '3 min 4 s');
  equal(shadeOf('web'), shadeOf('web'));
  deepEqual([wantsColour({ isTTY: true }, {}), wantsColour({ isTTY: true }, { NO_COLOR: '1' }), wantsColour({}, { FORCE_COLOR: '1' }), wantsColour({}, {})], [true, false, true, false]);
  deepEqual(['512M', '2G', '1GiB', '256', '1t'].map((text) => parseMiB('--memory', text)), [512, 2048, 1024, 256, 1024 * 1024]);
  for (const bad of ['', '-1', '1.5G', '2X', '99999999999']) throws(() => parseMiB('--memory', bad), /--memory wants a size/);
});

test('[L4] a folder is told from a service', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strata-folder-'));
  await mkdir(join(folder, 'web'));
  await writeFile(join(folder, 'web', 'compose.yaml'), '');
  deepEqual(splitFolder(['web', 'api'], folder), { folder: join(folder, 'web'), rest: ['api'] });
  deepEqual(splitFolder(['.', 'api'], folder), { folder, rest: ['api'] });
  throws(() => splitFolder(['./nosuch'], folder), /there is no folder/);
  // Beside a Compose file the word is a service, also where a folder has the same name.
  await writeFile(join(folder, 'compose.yaml'), '');
  deepEqual(splitFolder(['web', 'api'], folder), { folder: undefined, rest: ['web', 'api'] });
  await rm(folder, { recursive: true });
});

test('[L3] the systemd unit lets machines outlive the daemon and escapes what it is given', () => {
  const unit = systemdUnit({ instance: 'strata', argv: ['/opt/my strata/node', '--flag', '/x/100%.ts'], environment: { STRATA_RUN: '/run/a b' } });
  match(unit, /^ExecStart="\/opt\/my strata\/node" --flag \/x\/100%%\.ts$/m);
  match(unit, /^Environment="STRATA_RUN=\/run\/a b"$/m);
  for (const line of ['Type=exec', 'KillMode=process', 'Delegate=yes', 'Restart=always', 'WantedBy=multi-user.target']) ok(unit.includes(`\n${line}\n`), line);
});

test('[L9] the terminal is restored after exec, after a lost daemon, and Ctrl-] leaves a console', async (t) => {
  const { socketPath, folder, api } = await openTestApi(t);
  const run = (typed: string, command: string, onOutput?: (text: string) => void): Promise<string> => new Promise((done, fail) => {
    // script(1) gives a pseudo terminal; stty after the command tells what it left behind.
    const line = `stty sane; stty -g > ${folder}/before; ${command}; echo "code $?"; stty -g > ${folder}/after; cmp ${folder}/before ${folder}/after && echo restored`;
    const child = spawn('/usr/bin/script', ['-qec', line, '/dev/null'], { env: { ...process.env, SHELL: '/bin/sh', STRATA_RUN: dirname(socketPath), STRATA_STATE: join(folder, 'state'), STRATA_INSTANCE: 'clitty', TERM: 'xterm' }, stdio: ['pipe', 'pipe', 'inherit'], timeout: 20_000 });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (typed !== '' && /login: |waiting/.test(text)) { child.stdin.write(typed); typed = ''; }
      onOutput?.(text);
    });
    child.on('error', fail).on('close', () => done(text));
  });
  const strata = fileURLToPath(new URL('../strata', import.meta.url));
  match(await run('', `${strata} machine exec box echo hello`), /hello\r?\n[^]*code 0\r?\nrestored/);
  match(await run('\u001d', `${strata} machine console box`), /login: [^]*code 0\r?\nrestored/);
  let closed = false;
  const lost = await run('', `${strata} machine exec box wait`, (text) => { if (text.includes('waiting') && !closed) { closed = true; void api.close(); } });
  match(lost, /the stream was lost[^]*code 125\r?\nrestored/);
});
