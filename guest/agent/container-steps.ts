/**
 * What the first process of a container does before it becomes the program, as a list of steps (system/container.c
 * carries them out): its root, what is mounted, made, set and hidden in it. Pure. The list adds up to what the
 * runtime-spec's config-linux.md asks for, with Docker's defaults.
 *
 * Devices: no file system of a container takes device nodes (`nodev`), so one that it makes cannot be opened; the few it
 * needs are the guest's own, each placed by itself.
 */
import type { GuestContainerSpec } from '../protocol/messages.ts';

/** [kind, word, word, word, flags]; see system/container.c. */
export type Step = readonly [kind: string, a?: string, b?: string | undefined, c?: string | undefined, flags?: number];

const RDONLY = 1;
const NOSUID = 2;
const NODEV = 4;
const NOEXEC = 8;
const NOATIME = 1024;
const RELATIME = 1 << 21;
const STRICTATIME = 1 << 24;

const maskedPaths = ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/sched_debug', '/proc/scsi', '/sys/firmware'];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
export const deviceNames = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];
const deviceLinks = [['/dev/fd', '/proc/self/fd'], ['/dev/stdin', '/proc/self/fd/0'], ['/dev/stdout', '/proc/self/fd/1'], ['/dev/stderr', '/proc/self/fd/2'], ['/dev/ptmx', 'pts/ptmx']] as const;

/** Where our own executable is seen in a container that asked for an init process; it reaps and passes signals on. */
export const initPath = '/sbin/docker-init';

/** Mounts taken before the root changes, by descriptor. */
export interface Trees {
  readonly devices: ReadonlyMap<string, number>;
  /** By target. */
  readonly files: ReadonlyMap<string, number>;
  readonly volumes: ReadonlyMap<string, number>;
  readonly init: number | undefined;
}

/** @param root the container's root as the guest sees it, a mount. @throws Error for a sysctl that would hold for the whole machine */
export function containerSteps(spec: GuestContainerSpec, root: string, trees: Trees): readonly Step[] {
  return [
    ['private'], ['pivot', root],
    ...kernelSteps(spec), ...deviceSteps(spec, trees.devices),
    ...(trees.init === undefined ? [] : fileSteps(initPath, trees.init, RDONLY | NOSUID | NODEV)),
    ...spec.mounts.flatMap((mount) => mountSteps(mount, trees)),
    ['folder', spec.cwd, undefined, undefined, 0o755],
    ['hostname', spec.hostname],
    ...sysctlSteps({ 'net.ipv4.ip_unprivileged_port_start': '0', ...spec.sysctls }),
    ...(spec.privileged ? [] : [...maskedPaths.map((path): Step => ['mask', path]), ...readonlyPaths.map((path): Step => ['readonly', path])]),
    ['remount', '/', undefined, undefined, NOATIME | (spec.privileged ? 0 : NODEV) | (spec.readOnlyRoot ? RDONLY : 0)],
  ];
}

function kernelSteps(spec: GuestContainerSpec): Step[] {
  return [
    ...mounted('/proc', 'proc', undefined, NOSUID | NOEXEC | NODEV),
    ...mounted('/sys', 'sysfs', undefined, NOSUID | NOEXEC | NODEV | (spec.privileged ? 0 : RDONLY)),
    ['mount', '/sys/fs/cgroup', 'cgroup2', undefined, NOSUID | NOEXEC | NODEV | RELATIME | RDONLY],
  ];
}

function deviceSteps(spec: GuestContainerSpec, devices: ReadonlyMap<string, number>): Step[] {
  return [
    ...mounted('/dev', 'tmpfs', 'mode=755,size=65536k', NOSUID | STRICTATIME | (spec.privileged ? 0 : NODEV)),
    ...mounted('/dev/pts', 'devpts', 'newinstance,ptmxmode=0666,mode=0620,gid=5', NOSUID | NOEXEC),
    ...mounted('/dev/mqueue', 'mqueue', undefined, NOSUID | NOEXEC | NODEV),
    ...mounted('/dev/shm', 'tmpfs', `mode=1777,size=${spec.shmBytes > 0 ? spec.shmBytes : 67_108_864}`, NOSUID | NOEXEC | NODEV),
    ...[...devices].flatMap(([name, fd]): Step[] => [['file', `/dev/${name}`], placed(`/dev/${name}`, fd)]),
    ...deviceLinks.map(([path, target]): Step => ['link', path, target]),
  ];
}

function mountSteps(mount: GuestContainerSpec['mounts'][number], trees: Trees): Step[] {
  if (mount.kind === 'tmpfs') {
    const options = [`mode=${(mount.mode ?? 0o1777).toString(8)}`, ...(mount.sizeBytes === undefined ? [] : [`size=${mount.sizeBytes}`])];
    return mounted(mount.target, 'tmpfs', options.join(), NOSUID | NODEV);
  }
  if (mount.kind === 'file') return fileSteps(mount.target, taken(trees.files, mount.target), NOSUID | NODEV);
  return [
    ['folder', mount.target, undefined, undefined, 0o755], placed(mount.target, taken(trees.volumes, mount.target)),
    ['remount', mount.target, undefined, undefined, NOSUID | NODEV | NOATIME | (mount.readOnly ? RDONLY : 0)],
  ];
}

function fileSteps(target: string, fd: number, flags: number): Step[] {
  return [['file', target], placed(target, fd), ['remount', target, undefined, undefined, flags]];
}

const mounted = (target: string, type: string, options: string | undefined, flags: number): Step[] => [['folder', target, undefined, undefined, 0o755], ['mount', target, type, options, flags]];
const placed = (target: string, fd: number): Step => ['place', target, undefined, undefined, fd];

function taken(trees: ReadonlyMap<string, number>, target: string): number {
  const fd = trees.get(target);
  if (fd === undefined) throw new Error(`nothing is there to mount at ${target}`);
  return fd;
}

/** Those that belong to a namespace of the container (sysctl/kernel.rst, ipc, uts, net). */
const ownSysctl = /^(net\.[\w./-]+|kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\.\w+)$/;

function sysctlSteps(sysctls: Readonly<Record<string, string>>): Step[] {
  return Object.entries(sysctls).map(([name, value]) => {
    if (!ownSysctl.test(name) || name.includes('..')) throw new Error(`the sysctl ${name} would hold for the whole machine; a container may set net.*, fs.mqueue.* and kernel.{msg*,sem,shm*}`);
    return ['write', `/proc/sys/${name.replaceAll('.', '/')}`, value];
  });
}
