/**
 * `npm run check`: everything that can be said about the code without running it. Each check runs even
 * where an earlier one failed, so that one call tells all. `npm run check -- types lint` runs only those.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { installNodeModules, root } from './install-node-modules.mjs';

const node = installNodeModules();
const tool = (name) => join(root, 'node_modules/.bin', name);
const tests = ['tests/architecture', 'contract/contract.test.ts', 'cli/verbs.test.ts'];

const checks = [
  { name: 'types', argv: [tool('tsc'), '-p', '.'], what: 'types of the server, the command line and the tests' },
  { name: 'guest', argv: [tool('tsc'), '-p', 'guest/agent'], what: 'types of the guest agent, which has no Node' },
  { name: 'lint', argv: [tool('oxlint'), '--type-aware', '--deny-warnings', '.'], what: 'lint, layers among its rules' },
  { name: 'dead', argv: [tool('knip'), '--no-progress', '--no-config-hints'], what: 'files, exports and packages nobody uses' },
  { name: 'architecture', argv: [node, join(root, 'tools/run-tests.mjs'), ...tests], what: 'layers, doors, purity, rules and tests, fresh generated files' },
];

const words = process.argv.slice(2);
const chosen = checks.filter(({ name }) => words.length === 0 || words.includes(name));
const failed = [];
for (const { name, argv, what } of chosen) {
  const started = Date.now();
  const { status, stdout, stderr, error } = spawnSync(argv[0], argv.slice(1), { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, timeout: 600_000, env: { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}`, STRATA_TEST_PREPARE: 'no' } });
  const good = status === 0;
  if (!good) failed.push(name);
  if (!good) process.stdout.write(`${stdout ?? ''}${stderr ?? ''}${error === undefined ? '' : `${error.message}\n`}`);
  process.stdout.write(`${good ? 'ok  ' : 'FAIL'} ${name.padEnd(12)} ${((Date.now() - started) / 1000).toFixed(1).padStart(5)} s  ${what}\n`);
}
if (chosen.length === 0) process.stdout.write(`no check is called ${words.join(', ')}; there are ${checks.map(({ name }) => name).join(', ')}\n`);
process.stdout.write(failed.length === 0 && chosen.length > 0 ? `${chosen.length} checks passed\n` : `failed: ${failed.join(', ')}\n`);
process.exitCode = failed.length === 0 && chosen.length > 0 ? 0 : 1;
