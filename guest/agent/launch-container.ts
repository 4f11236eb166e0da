/**
 * A container's first process: taken from the guest's mounts what it needs, started by system/container.c. No runtime
 * program is run: loading one with its libraries costs more than all that it does (docs/decisions/0010).
 */
import * as os from 'os';
import * as sys from 'sys';
import type { GuestContainerSpec } from '../protocol/messages.ts';
import type { Bundle } from './bundle.ts';
import { capabilityWords } from './capabilities.ts';
import { awaitExit, untilRuns } from './children.ts';
import { makeCgroup, removeCgroup } from './container-cgroup.ts';
import { containerSteps, deviceNames, initPath, type Trees } from './container-steps.ts';
import { openFile } from './files.ts';
import { namespacePath } from './network.ts';

/** RLIMIT_* of asm-generic/resource.h, which both architectures use. */
const limitNumbers = ['cpu', 'fsize', 'data', 'stack', 'core', 'rss', 'nproc', 'nofile', 'memlock', 'as', 'locks', 'sigpending', 'msgqueue', 'nice', 'rtprio', 'rttime'];

export interface Launched {
  readonly pid: number;
  /** Its exit code, once it has one. */
  readonly ended: Promise<number>;
}

/** @param stdio the program's own three descriptors. @throws Error why the program does not run; then nothing of it is left */
export async function launchContainer(spec: GuestContainerSpec, bundle: Bundle, stdio: readonly [number, number, number]): Promise<Launched> {
  const cgroup = await makeCgroup(spec.id, spec.limits);
  const opened: number[] = [];
  const own = (fd: number): number => { opened.push(fd); return fd; };
  try {
    const trees = takeTrees(spec, bundle, own);
    const { identity } = bundle;
    const [pid, fd] = sys.startContainer({
      argv: spec.init ? [initPath, '--', ...spec.argv] : spec.argv,
      env: spec.env.some((pair) => pair.startsWith('HOME=')) ? spec.env : [...spec.env, `HOME=${identity.home}`],
      cwd: spec.cwd, stdio, terminal: spec.tty ? 1 : 0, uid: identity.uid, gid: identity.gid, groups: identity.groups, capabilities: capabilityWords(spec),
      cgroup: own(openFile(`${cgroup}/cgroup.procs`, os.O_WRONLY)), network: own(openFile(namespacePath(spec.id), os.O_RDONLY)),
      steps: containerSteps(spec, bundle.root, trees), limits: spec.ulimits.map(({ name, soft, hard }) => [limitNumber(name), soft, hard] as const),
    });
    const ended = awaitExit(pid);
    const trouble = await untilRuns(fd, pid);
    if (trouble === '') return { pid, ended };
    await ended;
    throw new Error(inWords(trouble, spec));
  } catch (error) {
    await removeCgroup(spec.id);
    throw error;
  } finally {
    for (const fd of opened) os.close(fd);
  }
}

function takeTrees(spec: GuestContainerSpec, bundle: Bundle, own: (fd: number) => number): Trees {
  const take = (path: string, deep: 0 | 1): number => own(sys.openTree(path, deep));
  const taken = (paths: ReadonlyMap<string, string>, deep: 0 | 1) => new Map([...paths].map(([target, path]) => [target, take(path, deep)]));
  return {
    devices: new Map(deviceNames.map((name) => [name, take(`/dev/${name}`, 0)])),
    files: taken(bundle.files, 0), volumes: taken(bundle.volumes, 1), init: spec.init ? take('/init', 0) : undefined,
  };
}

function limitNumber(name: string): number {
  const number = limitNumbers.indexOf(name.toLowerCase());
  if (number < 0) throw new Error(`there is no ulimit ${name}`);
  return number;
}

const reasons: Readonly<Record<string, string>> = { 1: 'not permitted', 2: 'no such file', 8: 'not a program of this architecture', 12: 'no memory left', 13: 'permission denied', 20: 'not a folder', 28: 'no space left', 30: 'read-only', 40: 'too many links' };

function inWords(trouble: string, spec: GuestContainerSpec): string {
  const [, number = '', what = trouble] = /^(?:chdir )?(\d+) (.*)$/s.exec(trouble) ?? [];
  const why = reasons[number] ?? `error ${number}`;
  return what === spec.argv[0] || what === initPath ? `${what} cannot be started: ${number === '2' ? 'the image has no such program' : why}` : `${what}: ${why}`;
}
