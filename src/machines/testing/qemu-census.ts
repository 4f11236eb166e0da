/** For tests: whatever the host has of one instance's QEMU machines, which is nothing once all are erased and their templates dropped. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Instance } from '#base';

const namesIn = (folder: string): Promise<readonly string[]> => readdir(folder).catch(() => []);
const textOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => ''); // it may have ended meanwhile

/**
 * Processes, folders of machines and templates, claims of uids, taps; the folders and claims by their bare names.
 * @param root folder with the instance's own ones, of which processes are known by their command line, or, copies of a zygote, by their environment
 */
export async function qemuCensus(root: string, instance: Instance): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((one) => /^\d+$/.test(one));
  const processes = await Promise.all(pids.map(async (pid) => ({ pid, command: await textOf(`/proc/${pid}/cmdline`), environment: await textOf(`/proc/${pid}/environ`) })));
  const ours = processes.filter(({ command, environment }) => command.includes(root) || environment.includes(root));
  const names = await Promise.all([join(instance.runDir, 'q'), join(instance.runDir, 't'), join(instance.stateDir, 'qemu'), join(instance.stateDir, 'qemu-uids')].map(namesIn));
  const taps = (await namesIn('/sys/class/net')).filter((one) => one.startsWith(instance.name));
  return [...ours.map(({ pid, command }) => `process ${pid}: ${command.replaceAll('\0', ' ')}`), ...names.flat(), ...taps];
}
