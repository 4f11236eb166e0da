/**
 * Ends what goes on without the daemon, once no machine needs it: templates, gateway, edge, bridge and tables. Run under
 * the lock of the daemon's start, where none runs; whatever it ends, the next start makes again. Speaks on stderr.
 */
import { answersOn } from '#api';
import { apiSocketPath, asStrataError, instanceFromEnvironment, silentLog, StrataError, systemClock } from '#base';
import { openQemuEngine } from '#machines/qemu';
import { openHostNetwork } from '#pool';
import { openEdge } from '#services';
import { openHaproxyGateway } from '#services/haproxy';

async function clear(): Promise<void> {
  const instance = instanceFromEnvironment(process.env);
  if (await answersOn(apiSocketPath(instance))) throw new StrataError('a daemon was started meanwhile; it keeps what it needs', { code: 'daemon.started', kind: 'conflict', advice: 'try again' });
  const deps = { instance, log: silentLog };
  await openQemuEngine({ ...deps, clock: systemClock, guestOs: () => Promise.reject(new Error('nothing is started here')) }).dropTemplates();
  await openHaproxyGateway(deps).stop();
  await openEdge(deps).stop();
  await openHostNetwork(deps).erase();
}

try {
  await clear();
} catch (thrown) {
  const error = asStrataError(thrown, 'clearing the host');
  process.stderr.write(`strata: ${error.message}\n${error.advice === undefined ? '' : `  ${error.advice}\n`}`);
  process.exitCode = 1;
}
