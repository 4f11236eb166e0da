/** What is generated and checked in is fresh; the lint rules refuse what they are there for; the lock file is clean. */
import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { commandLineDocs } from '../../cli/command-line-docs.ts';
import { openApiDocument } from '../../contract/document.ts';
import { layersFromBottom } from '../../tools/layers.ts';
import { lintConfiguration } from '../../tools/lint-rules.ts';
import { root } from './project.ts';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const { version, imports } = JSON.parse(read('package.json')) as { version: string; imports: Record<string, string> };

test('generated files are what their generators make', () => {
  const fresh: Readonly<Record<string, string>> = {
    'contract/openapi.json': `${JSON.stringify(openApiDocument(version), null, 2)}\n`,
    'docs/cli.md': commandLineDocs(),
    '.oxlintrc.json': `${JSON.stringify(lintConfiguration(), null, 2)}\n`,
  };
  for (const [path, text] of Object.entries(fresh)) {
    equal(read(path), text, `${path} is not fresh: run its generator in tools/`);
    notEqual(`${read(path)} `, text, 'an added space would be noticed');
  }
});

test('each layer has its door, and the doors are those of the list', () => {
  const named = Object.entries(imports).filter(([, path]) => path.startsWith('./src/') && /^\.\/src\/[\w-]+\/index\.ts$/.test(path));
  deepEqual(named.map(([name]) => name.slice(1)), layersFromBottom.filter((layer) => layer !== 'bin'));
});

test('the lock file names no place packages come from', () => {
  const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, { resolved?: string; integrity?: string }> };
  const packages = Object.entries(lock.packages).filter(([path]) => path !== '');
  ok(packages.length > 20);
  for (const [path, { resolved, integrity }] of packages) {
    equal(resolved, undefined, path);
    ok(integrity !== undefined, `${path} has no checksum`);
  }
  match(read('.npmrc'), /omit-lockfile-registry-resolved=true/);
});

/** Path → text with one offence, and the rule that must name it. */
const offences: readonly (readonly [string, string, RegExp])[] = [
  ['src/store/up.ts', 'import { a } from \'#machines\';\nexport const b = a;\n', /no-restricted-imports/],
  ['src/store/type.ts', 'import type { A } from \'#machines\';\nexport type B = A;\n', /no-restricted-imports/],
  ['src/store/later.ts', 'export const b = import(\'#machines\');\n', /no-restricted-imports/],
  ['src/store/out.ts', 'export { a } from \'#machines\';\n', /no-restricted-imports/],
  ['src/services/past.ts', 'import { a } from \'../pool/place.ts\';\nexport const b = a;\n', /no-restricted-imports/],
  ['src/services/side.ts', 'import { a } from \'#store/sqlite\';\nexport const b = a;\n', /no-restricted-imports/],
  ['src/machines/plan-it.ts', 'export const now = Date.now();\n', /no-restricted-properties/],
  ['src/machines/plan-up.ts', 'import { a } from \'#services\';\nexport const b = a;\n', /no-restricted-imports/],
  ['src/machines/place-it.ts', 'import { readFileSync } from \'node:fs\';\nexport const b = readFileSync;\n', /no-restricted-imports/],
  ['cli/server.ts', 'import { a } from \'#store\';\nexport const b = a;\n', /no-restricted-imports/],
  ['src/base/shell.ts', 'import { exec } from \'node:child_process\';\nexport const b = exec;\n', /no-restricted-imports/],
  ['src/base/any.ts', 'export const b: any = 1;\n', /no-explicit-any/],
  ['src/base/default.ts', 'export default 1;\n', /no-default-export/],
  ['src/base/floating.ts', 'async function work(): Promise<void> { await Promise.resolve(); }\nwork();\n', /no-floating-promises/],
  ['src/base/one.ts', 'import { two } from \'./two.ts\';\nexport const one = (): number => two();\n', /no-cycle/],
];

test('the lint rules refuse each planted offence', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'strata-lint-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const name of ['.oxlintrc.json', 'tsconfig.json', 'package.json']) cpSync(join(root, name), join(folder, name));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const write = (path: string, text: string) => { mkdirSync(dirname(join(folder, path)), { recursive: true }); writeFileSync(join(folder, path), text); };
  write('src/base/two.ts', 'import { one } from \'./one.ts\';\nexport const two = (): number => one();\n');
  for (const [path, text] of offences) write(path, text);
  const { stdout } = spawnSync(process.execPath, [join(root, 'node_modules/oxlint/bin/oxlint'), '--type-aware', '--format', 'unix', '.'], { cwd: folder, encoding: 'utf8', env: { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}` }, timeout: 60_000 });
  const lines = stdout.split('\n');
  for (const [path, , rule] of offences) ok(lines.some((line) => line.startsWith(path) && rule.test(line)), `${path} was not refused by ${rule.source}\n${stdout}`);
});
