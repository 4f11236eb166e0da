/** The gateway's own port, of `http://<service>.<app>.localhost`: it stays the same once chosen. */
import { StrataError, type Instance } from '#base';
import type { Ports } from '#pool';

/** With the instance's subnet added, where no other program holds it. */
const usualHostsPort = 8000;
const owner = 'gateway/hosts';

export async function takeHostsPort(ports: Ports, instance: Instance): Promise<number> {
  const held = (await ports.list()).find((one) => one.owner === owner);
  if (held !== undefined) return held.port;
  try {
    return await ports.take(owner, usualHostsPort + instance.subnet, 'tcp');
  } catch (thrown) {
    if (thrown instanceof StrataError && thrown.code === 'pool.portTaken') return ports.take(owner, 0, 'tcp');
    throw thrown;
  }
}
