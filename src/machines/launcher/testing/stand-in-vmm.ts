/** For tests: shell scripts (busybox, static) in the place of a VMM, in the same jail with the same rights. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { isAlive, signalProcess, waitUntil, type Instance } from '#base';
import { ensureLauncher, readExitRecord, startVmm, type ExitRecord, type KeeperRecord, type LaunchDescription, type VmmDescriptor } from '../index.ts';

export interface LaunchTest {
  readonly root: string;
  readonly folder: string;
  readonly launcher: string;
  /** Starts `sh -c script` as the VMM; descriptor 3 is the console. */
  start(script: string, more?: { readonly descriptors?: readonly VmmDescriptor[]; readonly uid?: number } & Pick<LaunchDescription, 'idle' | 'hugeHeap' | 'keptHeap' | 'memory' | 'ownDescriptors' | 'consoleBefore'>): Promise<KeeperRecord>;
  /** Waits for the end and returns what the keeper wrote down. */
  ended(record: KeeperRecord): Promise<ExitRecord | undefined>;
  close(): Promise<void>;
}

/** A compiled launcher is kept between runs: its name holds its content. */
const cacheDir = '/var/cache/strata';
export const standInUid = 50_000_000 + 2 * (process.pid % 1_000_000); // of this run alone, above those of all instances

export async function openLaunchTest(): Promise<LaunchTest> {
  const root = await mkdtemp('/tmp/strata-l-');
  const folder = join(root, 'm');
  await mkdir(folder, { mode: 0o700 });
  const instance: Instance = { name: 'ltest', stateDir: root, runDir: root, cacheDir, subnet: 200 };
  const launcher = await ensureLauncher(instance);
  const records: KeeperRecord[] = [];
  const gone = async (record: KeeperRecord): Promise<boolean> => !(await isAlive(record.vmm)) && !(await isAlive(record.keeper));
  return {
    root, folder, launcher,
    async start(script, more) {
      const record = await startVmm(launcher, folder, {
        cgroups: [], readable: [{ source: '/bin/busybox' }], links: [], devices: ['/dev/null', '/dev/zero'],
        ...more, uid: more?.uid ?? standInUid, descriptors: [{ kind: 'console' }, ...(more?.descriptors ?? [])], program: '/bin/busybox', argv: ['sh', '-c', script],
      });
      records.push(record);
      return record;
    },
    async ended(record) {
      await waitUntil(() => gone(record), { what: 'the VMM and its keeper are gone', limitMs: 30_000 });
      return readExitRecord(folder);
    },
    async close() {
      for (const record of records) {
        await signalProcess(record.vmm, 'SIGKILL');
        await waitUntil(() => gone(record), { what: 'the VMM and its keeper are gone', limitMs: 10_000 });
      }
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** Since Linux 6.7 the kernel tells what a process writes; without that all is copied while it stands still. */
export const tellsWrites = ((major = 0, minor = 0) => major > 6 || (major === 6 && minor >= 7))(...release().split('.').map(Number));

/** A line of /proc/<pid>/status. */
export async function statusField(pid: number, name: string): Promise<string> {
  const line = (await readFile(`/proc/${pid}/status`, 'utf8')).split('\n').find((one) => one.startsWith(`${name}:`));
  return (line ?? '').slice(name.length + 1).trim();
}

/** Resident memory of a process, in kB. */
export async function residentKb(pid: number): Promise<number> {
  return Number.parseInt(await statusField(pid, 'VmRSS'), 10);
}

