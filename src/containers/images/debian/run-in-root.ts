/**
 * Runs a program inside a root folder, apart from the host: own mounts, processes, IPC and no network, by
 * bubblewrap. Maintainer scripts of packages see nothing of this machine, and leave no mount behind.
 */
import { runProcess, type RunResult } from '#base';

/** What installing packages needs; no right over devices, mounts or the network. */
const capabilities = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_SETUID', 'CAP_SETGID', 'CAP_SETFCAP', 'CAP_SYS_CHROOT', 'CAP_KILL', 'CAP_MKNOD'];

export interface RootOptions {
  readonly root: string;
  /** Shown read-only at /tmp/debs. */
  readonly archives: string;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

export function runInRoot(argv: readonly string[], { root, archives, signal, timeoutMs }: RootOptions): Promise<RunResult> {
  const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive', DEBCONF_NONINTERACTIVE_SEEN: 'true', DEBCONF_NOWARNINGS: 'yes' };
  return runProcess([
    'bwrap', '--die-with-parent', '--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-net', '--unshare-cgroup-try', '--new-session',
    ...capabilities.flatMap((one) => ['--cap-add', one]),
    '--bind', root, '/', '--proc', '/proc', '--dev', '/dev', '--tmpfs', '/run', '--ro-bind', archives, '/tmp/debs',
    '--clearenv', ...Object.entries(environment).flatMap(([name, value]) => ['--setenv', name, value]),
    '--', ...argv,
  ], { timeoutMs: timeoutMs ?? 900_000, maxOutputBytes: 64 * 1024 * 1024, ...(signal === undefined ? {} : { signal }) });
}
