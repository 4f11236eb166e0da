/** Lets every other process go before a VMM: all its threads, and those of its children, get the lowest priority. */
import { readdir, readFile } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';

/** Later threads and children have it from those that make them. What has ended meanwhile needs none. */
export async function giveWay(pid: number): Promise<void> {
  for (const thread of await readdir(`/proc/${pid}/task`).catch(() => [])) {
    try {
      setPriority(Number(thread), constants.priority.PRIORITY_LOW);
    } catch (thrown) {
      if (!(await hasEnded(pid, thread))) throw thrown;
    }
    const children = await readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '');
    for (const child of children.split(' ').filter((one) => one !== '')) await giveWay(Number(child));
  }
}

const hasEnded = async (pid: number, thread: string): Promise<boolean> => !(await readdir(`/proc/${pid}/task`).catch((): string[] => [])).includes(thread);
