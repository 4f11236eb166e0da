/** A log that is cut while its writer writes on. */
import { deepEqual, equal } from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cutLog } from './limit-log.ts';

test('a log above its limit is kept once and begins anew, for the writer that has it open too; below it nothing happens', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'strata-log-'));
  const path = join(folder, 'daemon.log');
  const writer = openSync(path, 'a');
  try {
    writeSync(writer, 'first\n');
    equal(await cutLog(path, 100), false);
    equal(await cutLog(path, 5), true);
    writeSync(writer, 'second\n');
    deepEqual([readFileSync(path, 'utf8'), readFileSync(`${path}.1`, 'utf8')], ['second\n', 'first\n']);
    equal(await cutLog(path, 5), true);
    writeSync(writer, '3\n');
    deepEqual([readFileSync(path, 'utf8'), readFileSync(`${path}.1`, 'utf8'), readdirSync(folder).sort()], ['3\n', 'second\n', ['daemon.log', 'daemon.log.1']]);
    equal(await cutLog(join(folder, 'none'), 5), false);
  } finally {
    closeSync(writer);
    rmSync(folder, { recursive: true });
  }
});
