/** Where the files of one machine lie. Ids only, never names. */
import { join } from 'node:path';
import { StrataError, type Instance } from '#base';

export interface MachinePlaces {
  /** Sockets and records; vanishes at a reboot. The keeper alone writes in it. */
  readonly runFolder: string;
  readonly monitor: string;
  /** A second monitor, over which the launcher hands disks in. */
  readonly passing: string;
  readonly agent: string;
  readonly console: string;
  /** Closes when the keeper ends. */
  readonly watch: string;
  /** The machine's own disk and its uid; outlives a reboot. */
  readonly stateFolder: string;
  readonly scratch: string;
}

/** sun_path of unix(7), less the final NUL. */
const maxSocketPath = 107;

export function machinePlaces(instance: Instance, id: string): MachinePlaces {
  if (!/^[a-z0-9-]{1,40}$/.test(id)) throw new StrataError(`'${id}' is no id of a machine`, { code: 'machine.badId', kind: 'invalid' });
  const runFolder = join(instance.runDir, 'q', id);
  const stateFolder = join(instance.stateDir, 'qemu', id);
  const monitor = join(runFolder, 'm');
  if (Buffer.byteLength(monitor) > maxSocketPath) {
    throw new StrataError(`the folder ${instance.runDir} is too long for sockets (${maxSocketPath} bytes at most)`, { code: 'machine.pathTooLong', kind: 'invalid', advice: 'set STRATA_RUN to a shorter folder' });
  }
  return {
    runFolder, monitor, passing: join(runFolder, 'p'), agent: join(runFolder, 'a'), console: join(runFolder, 'c'), watch: join(runFolder, 'w'),
    stateFolder, scratch: join(stateFolder, 'scratch.raw'),
  };
}
