/**
 * Starting a program inside a running container (or the guest itself) without a runtime: the namespaces, the
 * cgroup, the root and the identity of the container's first process are taken from /proc.
 */
import * as os from 'os';
import { spawn, type Spawned } from './children.ts';
import { mergeEnvironment } from './environment.ts';
import { openFile, readText, readTextIn } from './files.ts';
import { resolveUser } from './users.ts';

export interface Inside { readonly pid: number; readonly cgroup: string; readonly env: readonly string[]; readonly cwd: string; readonly user: string; readonly extraGroups: readonly string[] }

const guestEnv = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'TERM=xterm'];

export interface Program {
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: string;
  readonly stdio: readonly [number, number, number];
  readonly terminal: boolean;
}

export function spawnInside(inside: Inside | undefined, program: Program): Spawned {
  if (inside === undefined) {
    return spawn({ argv: program.argv, env: mergeEnvironment(guestEnv, program.env), stdio: program.stdio, cwd: program.cwd === '' ? '/' : program.cwd, terminal: program.terminal ? 1 : 0 });
  }
  const process = `/proc/${inside.pid}`;
  const opened: number[] = [];
  const open = (path: string, flags = os.O_RDONLY): number => {
    const fd = openFile(path, flags);
    opened.push(fd);
    return fd;
  };
  try {
    const user = program.user === '' ? inside.user : program.user;
    const identity = resolveUser(user, program.user === '' ? inside.extraGroups : [], readTextIn(`${process}/root`, '/etc/passwd'), readTextIn(`${process}/root`, '/etc/group'));
    const home = program.user === '' ? [] : [`HOME=${identity.home}`];
    const env = mergeEnvironment([`HOME=${identity.home}`, ...(program.terminal ? ['TERM=xterm'] : [])], inside.env, home, program.env);
    return spawn({
      argv: program.argv, env, stdio: program.stdio, terminal: program.terminal ? 1 : 0,
      cwd: program.cwd === '' ? inside.cwd : program.cwd,
      root: open(`${process}/root`),
      cgroup: open(`/sys/fs/cgroup${inside.cgroup}/cgroup.procs`, os.O_WRONLY),
      namespaces: ['ipc', 'uts', 'net', 'cgroup', 'mnt'].map((name) => open(`${process}/ns/${name}`)),
      pidNamespace: open(`${process}/ns/pid`), ownPidNamespace: open('/proc/self/ns/pid'),
      uid: identity.uid, gid: identity.gid, groups: identity.groups,
      capabilities: capabilitiesOf(`${process}/status`),
    });
  } finally {
    for (const fd of opened) os.close(fd);
  }
}

/** The container's bounding set as two words. */
function capabilitiesOf(path: string): [number, number] {
  const hex = /CapBnd:\s*([0-9a-f]{16})/.exec(readText(path) ?? '')?.[1] ?? '0000000000000000';
  return [parseInt(hex.slice(8), 16) >>> 0, parseInt(hex.slice(0, 8), 16) >>> 0];
}
