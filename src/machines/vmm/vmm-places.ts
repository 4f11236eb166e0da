/** Where the files of one machine lie, whatever VMM runs it. Ids only, never names. */
import { join } from 'node:path';
import { StrataError, type Instance } from '#base';

export interface VmmPlaces {
  /** Sockets and records; vanishes at a reboot. The keeper alone writes in it. */
  readonly runFolder: string;
  readonly agent: string;
  readonly console: string;
  /** Closes when the keeper ends. */
  readonly watch: string;
  /** The machine's own disk; outlives a reboot. */
  readonly stateFolder: string;
  readonly scratch: string;
}

/** sun_path of unix(7), less the final NUL. */
const maxSocketPath = 107;

/** @param engine names of its folders: in the run folder, which must be short, and in the state folder */
export function vmmPlaces(instance: Instance, id: string, engine: { readonly run: string; readonly state: string }): VmmPlaces {
  if (!/^[a-z0-9-]{1,40}$/.test(id)) throw new StrataError(`'${id}' is no id of a machine`, { code: 'machine.badId', kind: 'invalid' });
  const runFolder = join(instance.runDir, engine.run, id);
  const stateFolder = join(instance.stateDir, engine.state, id);
  if (Buffer.byteLength(join(runFolder, 'x')) > maxSocketPath) {
    throw new StrataError(`the folder ${instance.runDir} is too long for sockets (${maxSocketPath} bytes at most)`, { code: 'machine.pathTooLong', kind: 'invalid', advice: 'set STRATA_RUN to a shorter folder' });
  }
  return { runFolder, agent: join(runFolder, 'a'), console: join(runFolder, 'c'), watch: join(runFolder, 'w'), stateFolder, scratch: join(stateFolder, 'scratch.raw') };
}
