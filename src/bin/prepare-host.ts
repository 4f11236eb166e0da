/**
 * Makes the host ready for the daemon: Debian packages that are missing are named, then installed. Runs before the
 * daemon's first start; takes a few milliseconds where nothing is missing. Speaks to people, on stderr.
 */
import { mkdir } from 'node:fs/promises';
import { asStrataError, hostArchitecture, instanceFromEnvironment, systemClock } from '#base';
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

try {
  await prepare();
} catch (thrown) {
  const error = asStrataError(thrown, 'preparing the host');
  say(error.message);
  if (error.advice !== undefined) say(error.advice);
  process.exitCode = 1;
}
