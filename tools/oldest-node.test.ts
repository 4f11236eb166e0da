/** The Node that a host needs to fetch the locked one is said in four places. */
import { match } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

test('package.json, its lock, the README and the check of the launcher agree on the oldest Node', () => {
  const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
  const oldest = /^const oldestNode = (\d+);$/m.exec(read('tools/install-node-modules.mjs'))?.[1] ?? 'none';
  const engines = (text: string): string => (JSON.parse(text) as { engines: { node: string } }).engines.node;
  match(engines(read('package.json')), new RegExp(`^>=${oldest}$`));
  match(engines(JSON.stringify((JSON.parse(read('package-lock.json')) as { packages: Record<string, unknown> }).packages[''])), new RegExp(`^>=${oldest}$`));
  match(read('README.md'), new RegExp(`Node ${oldest} or newer`));
});
