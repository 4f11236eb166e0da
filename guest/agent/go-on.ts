/**
 * Makes a container that came with the memory of another guest the one it is to be here: host name, files that tell names
 * and addresses, link. Its processes stand still meanwhile; what they were connected to was the other's, and is cut off.
 */
import * as os from 'os';
import * as sys from 'sys';
import type { GuestContainerSpec } from '../protocol/messages.ts';
import { rewriteFiles } from './bundle.ts';
import { processesOf } from './container-cgroup.ts';
import { listFolder, openFile } from './files.ts';
import { renewLink } from './network.ts';

/** @param place the id under which the guest has what belongs to it @throws Error where it cannot become that */
export async function becomeAnother(place: string, pid: number, before: GuestContainerSpec, spec: GuestContainerSpec): Promise<void> {
  if (essence(before) !== essence(spec)) throw new Error('it was started otherwise than this one is to be');
  nameHost(pid, spec.hostname);
  rewriteFiles({ ...spec, id: place });
  for (const process of processesOf(place)) cutConnections(process);
  if (spec.network !== null) await renewLink(place, spec.network);
}

/** All of a specification that a process which runs already cannot be told anew. */
function essence(spec: GuestContainerSpec): string {
  const { id: _id, digest: _digest, hostname: _hostname, ...rest } = spec;
  const mounts = spec.mounts.map((mount) => (mount.kind === 'file' ? { ...mount, content: '' } : mount));
  return JSON.stringify({ ...rest, network: spec.network !== null, mounts, env: spec.env.filter((pair) => !pair.startsWith('HOSTNAME=')) });
}

function nameHost(pid: number, name: string): void {
  const names = openFile(`/proc/${pid}/ns/uts`, os.O_RDONLY);
  try { sys.setHostnameIn(names, name); } finally { os.close(names); }
}

function cutConnections(pid: number): void {
  for (const fd of listFolder(`/proc/${pid}/fd`)) {
    const [target] = os.readlink(`/proc/${pid}/fd/${fd}`);
    if (target.startsWith('socket:')) sys.cutConnection(pid, Number(fd));
  }
}
