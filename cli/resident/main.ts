/** The resident process: `node cli/resident/main.ts`, started by a command that found none (start-resident.ts). */
import { statSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';

enableCompileCache();
const { residentSocket } = await import('./places.ts');
const isTaken = (): Promise<boolean> => new Promise((resolve) => {
  const socket = connect(residentSocket, () => { socket.destroy(); resolve(true); }).on('error', () => { resolve(false); });
});
// Ten commands at once that found none start ten; one that comes while another compiles the client finds it afterwards.
if (await isTaken()) process.exit();

const { answerRequest } = await import('./answer-request.ts');
const { ensureClient } = await import('./ensure-client.ts');
const { serveRequests } = await import('./serve-requests.ts');
const { fingerprint } = await import('./sources.ts');

const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const place = (name: string): string => { const { dev, ino } = statSync(name, { bigint: true }); return `${dev} ${ino}`; };
const idleMs = 10 * 60_000;

await ensureClient();
if (await isTaken()) process.exit();
await serveRequests({
  socketPath: residentSocket, idleMs, root: `${place('/')} ${place('/proc/self/ns/mnt')}`, answer: answerRequest,
  fingerprint: () => fingerprint(['cli', 'client', 'contract'].map(path), [path('package-lock.json'), process.execPath]),
});
