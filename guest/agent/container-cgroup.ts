/** The control group of a container (cgroup v2): made with its limits, and gone with all that is still in it. */
import * as os from 'os';
import * as sys from 'sys';
import type { GuestContainerSpec } from '../protocol/messages.ts';
import { cgroupValues } from './cgroup-values.ts';
import { complain } from './complain.ts';
import { exists, makeFolder, readText, setKernelValue } from './files.ts';
import { pause } from './loop.ts';

export const cgroupPath = (id: string): string => `/sys/fs/cgroup/strata/${id}`;

/** An empty one with these limits; what an earlier life left is removed first, its counters with it. @returns its folder */
export async function makeCgroup(id: string, limits: GuestContainerSpec['limits']): Promise<string> {
  await removeCgroup(id);
  const folder = cgroupPath(id);
  makeFolder(folder);
  for (const [file, value] of cgroupValues(limits)) {
    if (file === 'memory.swap.max' && !exists(`${folder}/${file}`)) continue; // a kernel without swap accounting
    setKernelValue(`${folder}/${file}`, value);
  }
  return folder;
}

const removalTries = 200;
const EBUSY = -16;

const freezeLimitMs = 2000;

/** Returns when nothing in it runs any more. @throws Error where that does not come about; then it runs */
export async function freezeCgroup(id: string): Promise<void> {
  const folder = cgroupPath(id);
  setKernelValue(`${folder}/cgroup.freeze`, '1');
  for (const end = sys.monotonic() + freezeLimitMs; !/^frozen 1$/m.test(readText(`${folder}/cgroup.events`) ?? ''); await pause(2)) {
    if (sys.monotonic() < end) continue;
    thawCgroup(id);
    throw new Error(`a process of the container did not stand still within ${freezeLimitMs} ms`);
  }
}

/** Fine where it runs, or is gone. */
export function thawCgroup(id: string): void {
  const file = `${cgroupPath(id)}/cgroup.freeze`;
  if (exists(file)) setKernelValue(file, '0');
}

/** The processes that are in it now. */
export function processesOf(id: string): readonly number[] {
  return (readText(`${cgroupPath(id)}/cgroup.procs`) ?? '').split('\n').filter((one) => one !== '').map(Number);
}

/** Kills what is left in it. Fine where there is none. */
export async function removeCgroup(id: string): Promise<void> {
  const folder = cgroupPath(id);
  for (let tried = 0; exists(folder); tried += 1) {
    const result = os.remove(folder);
    if (result >= 0) return;
    if (result !== EBUSY || tried >= removalTries) return complain(`cgroup of ${id} stays (error ${-result})`);
    if (tried === 0 && exists(`${folder}/cgroup.kill`)) setKernelValue(`${folder}/cgroup.kill`, '1');
    await pause(tried < 20 ? 2 : 20); // the killed are reaped between turns of the loop
  }
}
