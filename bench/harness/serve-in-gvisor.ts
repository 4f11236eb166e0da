/** A program that goes on under gVisor, reached over a network of its own: what engine-speed measures round trips with. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProcess } from '#base';

export interface GvisorNetwork {
  /** For the bundle, and what runsc keeps. */
  readonly folder: string;
  /** Of the namespace, and of the host's end of its link. */
  readonly name: string;
  readonly host: string;
  readonly guest: string;
}

/**
 * Debian's runsc (2022) takes a file of /proc/sys for the mark of the host's own network namespace; kernels since have it in
 * each. So it sees a /proc/sys with the one file that it needs.
 */
const withoutTheMark = 'mount -t tmpfs none /proc/sys && mkdir /proc/sys/vm && echo 65536 >/proc/sys/vm/mmap_min_addr && exec "$@"';

/** Returns what ends it, and leaves nothing. */
export async function serveInGvisor({ folder, name, host, guest }: GvisorNetwork, argv: readonly string[]): Promise<() => Promise<void>> {
  const bundle = join(folder, 'gvisor');
  const runsc = ['runsc', '--platform=ptrace', '--network=sandbox', '--ignore-cgroups', `--root=${join(folder, 'runsc')}`] as const;
  await mkdir(bundle, { recursive: true });
  await writeFile(join(bundle, 'config.json'), JSON.stringify({
    ociVersion: '1.0.0', process: { terminal: false, user: { uid: 0, gid: 0 }, args: argv, env: ['PATH=/bin'], cwd: '/' }, root: { path: '/', readonly: true },
    linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }, { type: 'network', path: `/run/netns/${name}` }] },
  }));
  const ip = (...words: readonly string[]) => runProcess(['ip', ...words]);
  await ip('netns', 'add', name);
  const end = new AbortController();
  let running: Promise<unknown> = Promise.resolve();
  const clear = async (): Promise<void> => {
    await runProcess([...runsc, 'delete', '--force', name], { okCodes: [0, 1, 128] });
    end.abort();
    await running;
    await ip('netns', 'delete', name); // its link goes with it
  };
  try {
    await ip('link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    await ip('address', 'add', `${host}/24`, 'dev', name);
    await ip('link', 'set', name, 'up');
    await ip('-n', name, 'address', 'add', `${guest}/24`, 'dev', 'eth0');
    for (const link of ['lo', 'eth0']) await ip('-n', name, 'link', 'set', link, 'up');
    running = runProcess(['unshare', '--mount', 'sh', '-c', withoutTheMark, 'sh', ...runsc, 'run', '--bundle', bundle, name], { timeoutMs: 120_000, signal: end.signal }).catch(() => undefined);
    return clear;
  } catch (thrown) {
    await clear();
    throw thrown;
  }
}
