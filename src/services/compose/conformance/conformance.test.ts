/** The conformance table is complete, and each of its rows is true. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { StrataError } from '#base';
import { readComposeApp, type ComposeApp } from '../read-compose-app.ts';
import { composeSchema } from '../schema/compose-schema.ts';
import { keysOf } from '../schema/describe-schema.ts';
import type { ComposeDiagnostic } from '../report.ts';
import { conformanceDocument } from './conformance-document.ts';
import type { ConformanceRow } from './row.ts';
import { specificationKeys } from './specification-keys.ts';
import { conformance } from './table.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'strata-conformance-'));
  writeFileSync(join(folder, 'more.yaml'), 'services:\n  base: {image: "z:1", labels: {from: base}}\n');
  writeFileSync(join(folder, 'more.env'), 'MORE=1\n');
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** What every example of a service stands in. */
const around = `volumes: {data: {}}\nconfigs: {one: {content: x}}\nsecrets: {one: {environment: HOME}}\nservices:\n  other: {image: "o:1"}\n  web:\n    image: a:1\n    `;
const textOf = (row: ConformanceRow): string => (/^services\.\*\../.test(row.key) ? around.replace('    image: a:1\n', row.example.startsWith('image:') ? '' : '    image: a:1\n') + row.example : row.example);

async function read(text: string): Promise<ComposeApp> {
  const file = join(folder, 'compose.yaml');
  writeFileSync(file, text);
  return readComposeApp({ workingDir: folder, files: [file], envFiles: [], profiles: ['debug'], env: { HOME: '/root' } });
}

async function diagnosticsOf(text: string): Promise<readonly ComposeDiagnostic[]> {
  try {
    await read(text);
    return [];
  } catch (thrown) {
    assert.ok(thrown instanceof StrataError);
    return thrown.details?.['diagnostics'] as readonly ComposeDiagnostic[];
  }
}

/** Honoured, though the app is the same with and without it: it says where to look, or what is so anyway. */
const unseen: ReadonlySet<string> = new Set(['services', 'services.*', 'volumes', 'volumes.*', 'configs', 'configs.*', 'configs.*.content', 'configs.*.environment', 'configs.*.file', 'secrets', 'secrets.*',
  'secrets.*.environment', 'secrets.*.file', 'services.*.profiles', 'services.*.depends_on.*.required', 'services.*.x-strata.engine']);

describe('conformance', () => {
  for (const row of conformance) {
    test(`[C20] ${row.key} is ${row.state}`, async () => {
      if (row.state === 'refused') {
        const found = await diagnosticsOf(textOf(row));
        const last = row.key.split('.').filter((step) => step !== '*' && step !== '[]').at(-1) as string;
        const said = found.find((one) => one.code === 'compose.refused' && one.message.includes(`${last} is refused: `));
        assert.ok(said, `no refusal; found ${JSON.stringify(found)}`);
        assert.ok(said.line >= 1 && textOf(row).split('\n')[said.line - 1]?.slice(said.column - 1).startsWith(last), `not at its place: ${said.line}:${said.column}`);
        return;
      }
      const { app } = await read(textOf(row));
      if (row.state !== 'honoured' || unseen.has(row.key) || row.key.startsWith('include')) return;
      const without = row.key.startsWith('services.*.') ? around : 'services: {web: {image: "a:1", volumes: ["data:/d"]}}\nvolumes: {data: {}}';
      const plain = (await read(without)).app;
      assert.notDeepEqual(app.services.concat(app.volumes as never), plain.services.concat(plain.volumes as never), 'it changes nothing');
    });
  }

  test('[C21] every key of the specification has a row, or stands in a key that is refused', () => {
    const rows = new Map(conformance.map((row) => [row.key, row]));
    const covered = (key: string): boolean => {
      const parts = key.split('.');
      return rows.has(key) || parts.some((_, index) => rows.get(parts.slice(0, index).join('.'))?.state === 'refused' || rows.get(parts.slice(0, index).join('.'))?.key === 'services.*.develop');
    };
    assert.deepEqual(specificationKeys.filter((key) => !covered(key)), []);
    assert.ok(specificationKeys.length > 250, `${specificationKeys.length}`);
  });

  test('[C21] every key that the reader knows has a row, each row a key, and no key has two', () => {
    const rows = new Set(conformance.map((row) => row.key));
    assert.equal(rows.size, conformance.length);
    const known = keysOf(composeSchema).filter((key) => !key.endsWith('[]'));
    assert.deepEqual(known.filter((key) => !rows.has(key) && !isName(key)), []);
    const all = new Set(known);
    assert.deepEqual([...rows].filter((key) => !all.has(key)), []);
  });

  test('[C22] docs/compose.md is what the table says', () => {
    const written = readFileSync(new URL('../../../../docs/compose.md', import.meta.url), 'utf8');
    assert.equal(written, conformanceDocument(), 'run node tools/generate-compose-docs.ts');
  });
});

/** Names of the user's own have no meaning of their own. */
const isName = (key: string): boolean => key.endsWith('.*');
