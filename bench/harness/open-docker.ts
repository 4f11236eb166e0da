/**
 * The rival: a Docker daemon of our own, in namespaces of its own (processes, network, mounts), so that it leaves no
 * bridge, no rule and no process behind, and meets no other Docker of this host. Uses Debian's packages.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { childEnvironment, runProcess, waitUntil } from '#base';

export interface Docker extends AsyncDisposable {
  readonly folder: string;
  /** The server's version. */
  readonly version: string;
  /** `docker …` */
  run(argv: readonly string[], timeoutMs?: number): Promise<string>;
  /** `docker-compose …` */
  compose(argv: readonly string[], timeoutMs?: number): Promise<string>;
  /** Any program in the network of the daemon, where its published ports are. */
  inside(argv: readonly [string, ...string[]], timeoutMs?: number): Promise<string>;
}

const programs = { daemon: '/usr/sbin/dockerd', client: '/usr/bin/docker', compose: '/usr/bin/docker-compose' } as const;

/** Undefined where Debian's docker.io is not installed: then the rival's columns stay empty. */
export async function openDocker(): Promise<Docker | undefined> {
  if (!Object.values(programs).every((path) => existsSync(path))) return undefined;
  const folder = await mkdtemp('/tmp/sbd-');
  const group = `/strata-bench-${folder.slice(-6).toLowerCase()}`;
  const socket = `unix://${folder}/d.sock`;
  const child = spawn('unshare', ['--pid', '--net', '--mount', '--ipc', '--fork', '--kill-child', '--mount-proc', '--', programs.daemon,
    '--data-root', `${folder}/data`, '--exec-root', `${folder}/exec`, '--pidfile', `${folder}/pid`, '-H', socket, '--cgroup-parent', group, '--log-level', 'error'],
  { stdio: ['ignore', 'ignore', 'ignore'], env: childEnvironment });
  const gone = new Promise<void>((resolve) => { child.once('exit', () => resolve()); });
  const env = { ...childEnvironment, DOCKER_HOST: socket, DOCKER_CONFIG: folder, HOME: folder, COMPOSE_INTERACTIVE_NO_CLI: '1' };
  const call = async (argv: readonly [string, ...string[]], timeoutMs = 120_000) => (await runProcess(argv, { env, timeoutMs })).stdout;
  const docker: Docker = {
    folder, version: '',
    run: (argv, timeoutMs) => call([programs.client, ...argv], timeoutMs),
    compose: (argv, timeoutMs) => call([programs.compose, ...argv], timeoutMs),
    inside: (argv, timeoutMs) => call(['nsenter', `--net=/proc/${child.pid}/ns/net`, '--', ...argv], timeoutMs),
    [Symbol.asyncDispose]: async () => {
      const ids = (await docker.run(['ps', '-aq']).catch(() => '')).split('\n').filter((id) => id !== '');
      if (ids.length > 0) await docker.run(['rm', '-f', ...ids]).catch(() => '');
      child.kill('SIGKILL'); // its child, the daemon, dies with it, and with that all of the process namespace
      await gone;
      await waitUntil(async () => rm(folder, { recursive: true, force: true }).then(() => true, () => false), { what: 'the files of the Docker daemon are gone', limitMs: 10_000 });
      await removeGroups(group);
    },
  };
  try {
    await docker.inside(['ip', 'link', 'set', 'lo', 'up']);
    const version = await waitUntil(async () => (await docker.run(['version', '--format', '{{.Server.Version}}']).catch(() => '')).trim() || undefined, { what: 'the Docker daemon answers', limitMs: 60_000, everyMs: 100 });
    return { ...docker, version };
  } catch (error) {
    await docker[Symbol.asyncDispose]();
    throw error;
  }
}

async function removeGroups(group: string): Promise<void> {
  for (const hierarchy of ['', ...await readdir('/sys/fs/cgroup')]) {
    const path = join('/sys/fs/cgroup', hierarchy, group);
    for (const name of await readdir(path).catch(() => [])) await rmdir(join(path, name)).catch(() => undefined); // a file, or not there
    await rmdir(path).catch(() => undefined); // this hierarchy never had it
  }
}

/** An image of Debian's static busybox, called `busybox:bench`. */
export async function importBusybox(docker: Docker): Promise<void> {
  await mkdir(`${docker.folder}/image/bin`, { recursive: true });
  await runProcess(['cp', '/bin/busybox', `${docker.folder}/image/bin/busybox`]);
  await runProcess(['tar', '-C', `${docker.folder}/image`, '-cf', `${docker.folder}/busybox.tar`, '.']);
  await docker.run(['import', `${docker.folder}/busybox.tar`, 'busybox:bench']);
}
