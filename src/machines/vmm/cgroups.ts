/**
 * A machine's control groups: limits where the host has the controllers, nothing where it has not (v1, v2 and both at
 * once). Never a reason not to start: the jail holds without them.
 */
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitUntil, type Instance } from '#base';

export interface MachineLimits { readonly memoryBytes: number; readonly processes: number }

export interface CgroupMount { readonly path: string; readonly controllers: readonly string[] | 'v2' }

/** Folders the VMM is to join; limits are set. */
export async function makeCgroups(instance: Instance, id: string, limits: MachineLimits): Promise<readonly string[]> {
  const made: string[] = [];
  for (const mount of await listMounts()) {
    const folder = join(mount.path, groupName(instance), id);
    try {
      if (mount.controllers === 'v2') await delegate(mount.path, instance);
      await mkdir(folder, { recursive: true });
    } catch {
      continue; // the host does not let us
    }
    for (const [file, value] of limitFiles(mount, limits)) await writeFile(join(folder, file), value).catch(() => undefined); // this host has no such controller
    made.push(folder);
  }
  return made;
}

/** Idempotent; processes in them must be gone. */
export async function removeCgroups(instance: Instance, id: string): Promise<void> {
  for (const mount of await listMounts()) {
    await removeFolder(join(mount.path, groupName(instance), id));
    const parent = join(mount.path, groupName(instance));
    const left = await readdir(parent, { withFileTypes: true }).catch(() => []);
    if (left.length > 0 && left.every((entry) => !entry.isDirectory())) await rmdir(parent).catch(() => undefined); // another machine came meanwhile
  }
}

/** The hierarchies that hold memory and pids, from the text of /proc/self/mountinfo. Pure. */
export function findCgroupMounts(mountinfo: string): readonly CgroupMount[] {
  const mounts: CgroupMount[] = [];
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const path = left.split(' ')[4];
    const [type, , options = ''] = right.split(' ');
    if (path === undefined) continue;
    if (type === 'cgroup2') mounts.push({ path, controllers: 'v2' });
    const controllers = options.split(',').filter((one) => one === 'memory' || one === 'pids');
    if (type === 'cgroup' && controllers.length > 0) mounts.push({ path, controllers });
  }
  return mounts;
}

/** Files to write, in order. Pure. */
export function limitFiles(mount: CgroupMount, limits: MachineLimits): readonly (readonly [string, string])[] {
  const memory = String(limits.memoryBytes);
  const processes = String(limits.processes);
  if (mount.controllers === 'v2') return [['memory.max', memory], ['memory.swap.max', '0'], ['pids.max', processes]];
  return [
    ...(mount.controllers.includes('memory') ? [['memory.limit_in_bytes', memory] as const] : []),
    ...(mount.controllers.includes('pids') ? [['pids.max', processes] as const] : []),
  ];
}

const groupName = (instance: Instance): string => `strata-${instance.name}`;

async function listMounts(): Promise<readonly CgroupMount[]> {
  return findCgroupMounts(await readFile('/proc/self/mountinfo', 'utf8'));
}

/** v2 gives a controller to children only where each parent says so. */
async function delegate(root: string, instance: Instance): Promise<void> {
  const parent = join(root, groupName(instance));
  await mkdir(parent, { recursive: true });
  for (const folder of [root, parent]) for (const one of ['+memory', '+pids']) await writeFile(join(folder, 'cgroup.subtree_control'), one).catch(() => undefined); // in use elsewhere (v1), or not there
}

/** The kernel lets a process go from its groups a moment after its end was seen: until then EBUSY. */
async function removeFolder(path: string): Promise<void> {
  await waitUntil(() => rmdir(path).then(() => true, (error: NodeJS.ErrnoException) => {
    if (error.code === 'EBUSY') return false;
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return true;
    throw error;
  }), { what: `the control group ${path} is empty`, limitMs: 2000 });
}
