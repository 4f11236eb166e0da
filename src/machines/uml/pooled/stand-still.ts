/**
 * Lets a whole UML stand still and go on. Its kernel is one process, and the processes of its guest run only between two of
 * that one's waits: a signal stops all of it at once and costs no round to the guest, while the console is reached by
 * running a program in the jail.
 */
import { readdir, readFile } from 'node:fs/promises';
import { identifyProcess, runProcess, signalProcess, StrataError, waitUntil, type ProcessIdentity } from '#base';
import type { KeeperRecord } from '../../launcher/index.ts';

const stopLimitMs = 10_000;

/** UML's kernel: the first that the first process of the jail has started. @throws StrataError `machine.vmmFailed` */
export async function kernelOf({ vmm }: Pick<KeeperRecord, 'vmm'>): Promise<ProcessIdentity> {
  const children = await childrenOf(vmm.pid);
  const kernel = children[0] === undefined ? undefined : await identifyProcess(children[0]);
  if (kernel === undefined) throw new StrataError('UML ended, or its kernel is not found', { code: 'machine.vmmFailed', kind: 'unavailable' });
  return kernel;
}

/** Returns when it stands. Whatever is signalled or said to it meanwhile waits until it goes on. */
export async function standStill(kernel: ProcessIdentity): Promise<void> {
  await signalProcess(kernel, 'SIGSTOP');
  await waitUntil(async () => (await stateOf(kernel.pid)) === 'T', { what: 'UML stands still', limitMs: stopLimitMs, everyMs: 5 });
}

/** @throws StrataError `machine.vmmFailed` where it has ended */
export async function goOn(kernel: ProcessIdentity): Promise<void> {
  if (!(await signalProcess(kernel, 'SIGCONT'))) throw new StrataError('UML ended while it stood still', { code: 'machine.vmmFailed', kind: 'unavailable' });
}

/** From here on it is as any other: what was started to give way to all others, with all its processes. It must stand still, so that they stay those that they are. */
export async function takeItsPlace({ vmm }: Pick<KeeperRecord, 'vmm'>): Promise<void> {
  for (const pid of [vmm.pid, ...await descendantsOf(vmm.pid)]) await runProcess(['chrt', '--all-tasks', '--other', '--pid', '0', String(pid)], { timeoutMs: 10_000 });
}

export async function descendantsOf(pid: number): Promise<readonly number[]> {
  const children = await childrenOf(pid);
  return [...children, ...(await Promise.all(children.map(descendantsOf))).flat()];
}

/** The oldest first. */
async function childrenOf(pid: number): Promise<readonly number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const texts = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')));
  return texts.join(' ').split(' ').filter((one) => one !== '').map(Number);
}

const stateOf = async (pid: number): Promise<string | undefined> => /^State:\s+(\S)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''))?.[1];
