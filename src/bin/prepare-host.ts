/**
 * Makes the host ready for the daemon: Debian packages that are missing are named, then installed. Runs before the
 * daemon's first start; takes a few milliseconds where nothing is missing. Speaks to people, on stderr.
 */
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { asStrataError, childEnvironment, hostArchitecture, instanceFromEnvironment, runProcess, systemClock } from '#base';
import { findPackages, hostPackages, installPackages, packagesFor } from '#pool';

const say = (line: string): void => { process.stderr.write(`strata: ${line}\n`); };
const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort(new Error('interrupted')));

async function prepare(): Promise<void> {
  const missing = (await findPackages(packagesFor(hostArchitecture))).filter((one) => !one.serves);
  if (missing.length > 0) {
    say(`this host lacks ${missing.length} Debian package${missing.length === 1 ? '' : 's'}, which will be installed now:`);
    for (const { name } of missing) say(`  ${name.padEnd(24)} ${hostPackages.find((one) => one.name === name)?.purpose ?? ''}`);
  }
  await installPackages(missing.map((one) => one.name), { clock: systemClock, signal: stop.signal, onProgress: ({ message }) => say(message) });
  const instance = instanceFromEnvironment(process.env);
  for (const folder of [instance.stateDir, instance.runDir]) await mkdir(folder, { recursive: true, mode: 0o700 });
  await mkdir(instance.cacheDir, { recursive: true, mode: 0o755 });
}

/**
 * Leaves the daemon's code in the compile cache: a daemon that finds it there never loads the TypeScript stripper and
 * is a quarter smaller for all its life. With the options of Node that the daemon gets, or it would not fit.
 */
async function warm(): Promise<void> {
  if (process.env['NODE_COMPILE_CACHE'] === undefined) return;
  await runProcess([process.execPath, ...process.execArgv, fileURLToPath(new URL('strata-daemon.ts', import.meta.url)), '--warm'], { env: { ...childEnvironment, NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] }, timeoutMs: 60_000, signal: stop.signal });
}

try {
  await prepare();
  await warm();
} catch (thrown) {
  const error = asStrataError(thrown, 'preparing the host');
  say(error.message);
  if (error.advice !== undefined) say(error.advice);
  process.exitCode = 1;
}
