/**
 * The first milliseconds: file systems, the drivers the line to the host needs, then a real root (an
 * initramfs root cannot pivot, and crun wants to), then the other drivers. Nothing forks here; each fork
 * or dynamic link costs 5–45 ms under emulation.
 */
import * as os from 'os';
import * as sys from 'sys';
import { listFolder, makeFolder, readBytes, readText, removeTree, setKernelValue, writeBytes } from './files.ts';

const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;

export function mountEssentials(): void {
  for (const [type, target, flags] of [['proc', '/proc', MS_NOSUID | MS_NODEV | MS_NOEXEC], ['sysfs', '/sys', MS_NOSUID | MS_NODEV | MS_NOEXEC], ['devtmpfs', '/dev', MS_NOSUID]] as const) {
    makeFolder(target);
    sys.mount(type, target, type, flags, null);
  }
}

/** Loads the modules named in `/modules/<list>`, in order; the list was computed when the guest OS was built. */
export function loadModules(list: string): void {
  for (const name of (readText(`/modules/${list}`) ?? '').split('\n').filter((one) => one !== '')) {
    try {
      sys.loadModule(`/modules/${name}`);
    } catch (error) {
      complain(`module ${name}: ${(error as Error).message}`);
    }
  }
}

/** Writes to the kernel's log, which the serial console shows. */
export function complain(text: string): void {
  try { setKernelValue('/dev/kmsg', `<3>strata: ${text}\n`); } catch { /* there is no log to complain to */ }
}

const programs = ['/usr', '/lib', '/lib64', '/etc'];

/** A tmpfs as the root, with the programs copied into it; gives the initramfs' memory back. */
export function enterRoot(): void {
  makeFolder('/newroot');
  sys.mount('tmpfs', '/newroot', 'tmpfs', 0, 'mode=755,size=64m');
  for (const folder of programs) copyTree(folder, `/newroot${folder}`);
  for (const folder of ['proc', 'sys', 'dev', 'run', 'tmp', 'scratch', 'images', 'volumes', 'modules']) makeFolder(`/newroot/${folder}`);
  const MS_MOVE = 8192;
  for (const folder of ['proc', 'sys', 'dev']) sys.mount(`/${folder}`, `/newroot/${folder}`, null, MS_MOVE, null);
  copyTree('/modules', '/newroot/modules');
  for (const folder of [...programs, '/modules']) removeTree(folder);
  sys.switchRoot('/newroot');
}

/** What containers need beyond the line: cgroups, pseudo terminals, loopback is up by network.ts. */
export function mountRest(): void {
  for (const [type, target, options] of [['devpts', '/dev/pts', 'mode=620,ptmxmode=666'], ['tmpfs', '/dev/shm', 'mode=1777'], ['tmpfs', '/run', 'mode=755'], ['tmpfs', '/tmp', 'mode=1777'], ['cgroup2', '/sys/fs/cgroup', null]] as const) {
    makeFolder(target);
    sys.mount(type, target, type, MS_NOSUID | MS_NOEXEC, options);
  }
  makeFolder('/run/netns');
  makeFolder('/run/containers');
  setKernelValue('/proc/sys/net/ipv4/ip_unprivileged_port_start', '0');
  setKernelValue('/proc/sys/vm/overcommit_memory', '1');
  setKernelValue('/sys/fs/cgroup/cgroup.subtree_control', '+cpu +memory +pids +io');
  makeFolder('/sys/fs/cgroup/strata');
  setKernelValue('/sys/fs/cgroup/strata/cgroup.subtree_control', '+cpu +memory +pids +io');
}

function copyTree(from: string, to: string): void {
  const [stat, error] = os.lstat(from);
  if (error !== 0 || stat === null) return;
  const type = stat.mode & 0o170000;
  if (type === 0o040000) {
    makeFolder(to);
    for (const name of listFolder(from)) copyTree(`${from}/${name}`, `${to}/${name}`);
  } else if (type === 0o120000) os.symlink(os.readlink(from)[0], to);
  else writeBytes(to, readBytes(from, 0, stat.size), stat.mode & 0o777);
}
