/**
 * The first milliseconds: file systems, the drivers the line to the host needs; then, with the line open, a root
 * that can be pivoted from (containers want to) and the other drivers. Nothing forks here; each fork or dynamic
 * link costs 5–45 ms under emulation.
 */
import * as os from 'os';
import * as sys from 'sys';
import { complain } from './complain.ts';
import { exists, makeFolder, readText, removeTree, setKernelValue } from './files.ts';

const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_BIND = 4096;
const MS_REC = 16_384;
const MS_PRIVATE = 1 << 18;

export function mountEssentials(): void {
  for (const [type, target, flags] of [['proc', '/proc', MS_NOSUID | MS_NODEV | MS_NOEXEC], ['sysfs', '/sys', MS_NOSUID | MS_NODEV | MS_NOEXEC], ['devtmpfs', '/dev', MS_NOSUID]] as const) {
    sys.mount(type, target, type, flags, null);
  }
}

/** Names in `/modules/<list>`, in load order; the list was computed when the guest OS was built. */
export function modulesIn(list: string): string[] {
  return (readText(`/modules/${list}`) ?? '').split('\n').filter((one) => one !== '');
}

/** @param parameters as `modprobe` takes them */
export function loadModule(name: string, parameters = ''): void {
  try {
    sys.loadModule(`/modules/${name}`, parameters);
  } catch (error) {
    complain(`module ${name}: ${(error as Error).message}`);
  }
}

/**
 * The kernel's first root cannot be pivoted from. A bind mount of it, moved over it, can, and copies nothing.
 * Modules are loaded by now; their memory is given back.
 */
export function enterRoot(): void {
  removeTree('/modules');
  if (!exists('/newroot')) makeFolder('/newroot');
  sys.mount('/', '/newroot', null, MS_BIND | MS_REC, null);
  sys.switchRoot('/newroot');
  sys.mount(null, '/', null, MS_REC | MS_PRIVATE, null);
}

/**
 * An idle kernel looks after itself several times a second: for memory to compact ahead of need, for a processor that is
 * stuck (under emulation it is the host that was busy), for its own statistics. Two hundred idle guests took a processor by it.
 */
const restful = [['vm/compaction_proactiveness', '0'], ['kernel/watchdog', '0'], ['vm/stat_interval', '60']] as const;

/** What containers need beyond the line. */
export function mountRest(): void {
  const mounts = [['devpts', '/dev/pts', 'mode=620,ptmxmode=666'], ['tmpfs', '/dev/shm', 'mode=1777'], ['tmpfs', '/run', 'mode=755'], ['tmpfs', '/tmp', 'mode=1777'], ['cgroup2', '/sys/fs/cgroup', null]] as const;
  for (const [type, target, options] of mounts) {
    if (type !== 'cgroup2') makeFolder(target);
    sys.mount(type, target, type, MS_NOSUID | MS_NOEXEC, options);
  }
  os.symlink('/proc/sys/kernel/hostname', '/etc/hostname');
  for (const folder of ['/run/netns', '/run/containers', '/scratch', '/images', '/volumes']) makeFolder(folder);
  setKernelValue('/proc/sys/vm/overcommit_memory', '1');
  for (const [name, value] of restful) if (exists(`/proc/sys/${name}`)) setKernelValue(`/proc/sys/${name}`, value);
  const controllers = (readText('/sys/fs/cgroup/cgroup.controllers') ?? '').trim().split(' ').filter((name) => ['cpu', 'memory', 'pids', 'io'].includes(name)).map((name) => `+${name}`).join(' ');
  setKernelValue('/sys/fs/cgroup/cgroup.subtree_control', controllers);
  makeFolder('/sys/fs/cgroup/strata');
  setKernelValue('/sys/fs/cgroup/strata/cgroup.subtree_control', controllers);
}
