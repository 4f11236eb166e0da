/**
 * Installs the Debian packages that the tests need and this host lacks; names each before it is installed.
 * With the argument `bench` also those of the benches.
 */
import { asStrataError, hostArchitecture, systemClock } from '#base';
import { findPackages, hostPackages, installPackages, packagesFor } from '#pool';

const say = (line: string): void => { process.stderr.write(`${line}\n`); };

try {
  const bench = process.argv.includes('bench');
  const needed = [...packagesFor(hostArchitecture, true), ...hostPackages.filter((one) => bench && one.use === 'bench')];
  const missing = (await findPackages(needed)).filter((one) => !one.serves);
  if (missing.length > 0) say(`The ${bench ? 'benches' : 'tests'} need ${missing.length} Debian package${missing.length === 1 ? '' : 's'} that this host lacks:`);
  for (const one of missing) say(`  ${one.name}: ${one.purpose}${one.version === null ? '' : ` (${one.minimal} or newer, here is ${one.version})`}`);
  await installPackages(missing.map((one) => one.name), { clock: systemClock, onProgress: ({ message }) => say(message) });
} catch (thrown) {
  const error = asStrataError(thrown, 'Debian packages');
  say(`${error.message}${error.advice === undefined ? '' : `; ${error.advice}`}`);
  process.exitCode = 1;
}
