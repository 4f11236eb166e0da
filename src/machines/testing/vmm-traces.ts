/** For tests: what the host has of a machine that should be gone. */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Instance } from '#base';

/** Processes that name the machine, its folders, its claim of a uid, its cgroups. */
export async function vmmTraces(instance: Instance, id: string): Promise<readonly string[]> {
  const traces: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (commandLine.includes(id)) traces.push(`process ${pid}: ${commandLine.replaceAll('\0', ' ').slice(0, 200)}`);
  }
  for (const path of [['q', 'qemu'], ['u', 'uml']].flatMap(([run = '', state = '']) => [join(instance.runDir, run, id), join(instance.stateDir, state, id)])) if (existsSync(path)) traces.push(path);
  const claims = join(instance.stateDir, 'qemu-uids');
  for (const name of await readdir(claims).catch(() => [])) if ((await readFile(join(claims, name), 'utf8')) === id) traces.push(`uid ${name}`);
  for (const hierarchy of await readdir('/sys/fs/cgroup').catch(() => [])) {
    for (const path of [join('/sys/fs/cgroup', `strata-${instance.name}`, id), join('/sys/fs/cgroup', hierarchy, `strata-${instance.name}`, id)]) if (existsSync(path)) traces.push(path);
  }
  return traces;
}
