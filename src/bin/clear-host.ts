/**
 * Ends what goes on without the daemon, once no machine needs it: templates, gateway, edge, bridge and tables, and guests
 * without a record that a daemon was using when its time to end was over. Run under the lock of the daemon's start, where
 * none runs; whatever it ends, the next start makes again. Speaks on stderr.
 */
import { answersOn } from '#api';
import { apiSocketPath, architectures, asStrataError, instanceFromEnvironment, silentLog, StrataError } from '#base';
import { eraseMeasured } from '#machines';
import { openQemuEngine } from '#machines/qemu';
import { openUmlEngine } from '#machines/uml';
import { openHostNetwork } from '#pool';
import { openEdge } from '#services';
import { openHaproxyGateway } from '#services/haproxy';

async function clear(): Promise<void> {
  const instance = instanceFromEnvironment(process.env);
  if (await answersOn(apiSocketPath(instance))) throw new StrataError('a daemon was started meanwhile; it keeps what it needs', { code: 'daemon.started', kind: 'conflict', advice: 'try again' });
  const deps = { instance, log: silentLog };
  const network = openHostNetwork(deps);
  const guestOs = () => Promise.reject(new Error('nothing is started here'));
  const [qemu, uml] = [openQemuEngine({ ...deps, network, guestOs }), openUmlEngine({ ...deps, network, guestOs })];
  for (const engine of [qemu, uml]) {
    await engine.sweep();
    for (const architecture of architectures) await eraseMeasured(engine, architecture);
  }
  await qemu.dropTemplates();
  await openHaproxyGateway(deps).stop();
  await openEdge(deps).stop();
  await network.erase();
}

try {
  await clear();
} catch (thrown) {
  const error = asStrataError(thrown, 'clearing the host');
  process.stderr.write(`strata: ${error.message}\n${error.advice === undefined ? '' : `  ${error.advice}\n`}`);
  process.exitCode = 1;
}
