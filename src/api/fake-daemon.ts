/**
 * A daemon for tests of client and command line: the fake backend on an instance's socket. FAKE_DAEMON
 * makes it `die` at its start, `refuse` to start as the daemon does, be `slow` to get ready, or be `ending`; its starts are counted in starts.log.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { apiSocketPath, instanceFromEnvironment, silentLog } from '#base';
import { openFakeBackend } from './fake-backend.ts';
import { openApi } from './open-api.ts';

const longestLifeMs = process.env['FAKE_DAEMON'] === 'ending' ? 1000 : 120_000;
const instance = instanceFromEnvironment(process.env);
mkdirSync(instance.stateDir, { recursive: true });
appendFileSync(join(instance.stateDir, 'starts.log'), `${process.pid}\n`);
const manner = process.env['FAKE_DAEMON'] ?? '';
if (manner === 'die') {
  process.stderr.write('no room on the disk\nthe store cannot be opened\n');
  process.exit(3);
}
if (manner === 'refuse') {
  process.stderr.write(`${JSON.stringify({ level: 60, msg: 'no space is left for the store', advice: 'free space on its file system' })}\n(a line of Node's)\n`);
  process.exit(1);
}
const backend = openFakeBackend();
const begun = performance.now();
const readyAfterMs = manner === 'slow' ? 600 : 0;
const api = await openApi({
  backend: { ...backend, readiness: async () => (performance.now() - begun >= readyAfterMs && manner !== 'ending' ? { ready: true, checks: [] } : { ready: false, checks: [{ name: 'machines', ready: false, message: 'adopting 2 machines' }] }) },
  socketPath: apiSocketPath(instance), log: silentLog,
});
// A test that forgets it must not leave it behind for good.
const end = setTimeout(() => { void api.close(); }, longestLifeMs);
process.once('SIGTERM', () => { clearTimeout(end); void api.close(); });
