/** Gathers what check-host.ts judges; changes nothing on the host. */
import { access, readFile, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { asStrataError, hostArchitecture, runProcess } from '#base';
import type { HostFindings } from './check-host.ts';
import { findPackages } from './find-packages.ts';
import type { Proof } from './host.ts';
import { packagesFor } from './host-packages.ts';
import { parseMemory } from './observe-host.ts';

/** `proofs`: of guests that ran already; none is started here. */
export async function inspectHost(input: { readonly stateDir: string; readonly proofs: readonly Proof[]; readonly withTests?: boolean }): Promise<HostFindings> {
  const [packages, cgroup, tun, nftables, kernelFileSystems, meminfo, disk] = await Promise.all([
    findPackages(packagesFor(hostArchitecture, input.withTests === true)), cgroupMode(), exists('/dev/net/tun'), tryNftables(), fileSystems(), readFile('/proc/meminfo', 'utf8'), diskOf(input.stateDir),
  ]);
  return { root: process.getuid?.() === 0, packages, cgroup, tun, nftables, kernelFileSystems, memory: parseMemory(meminfo), disk, proofs: input.proofs };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false);
}

async function cgroupMode(): Promise<HostFindings['cgroup']> {
  if (await exists('/sys/fs/cgroup/cgroup.controllers')) return 'v2';
  const mounts = await readFile('/proc/self/mounts', 'utf8');
  const kinds = new Set(mounts.split('\n').map((line) => line.split(' ')[2]));
  if (!kinds.has('cgroup')) return kinds.has('cgroup2') ? 'v2' : 'none';
  return kinds.has('cgroup2') ? 'hybrid' : 'v1';
}

/** Lists tables, which asks the kernel's nf_tables. */
async function tryNftables(): Promise<string | null> {
  try {
    await runProcess(['nft', '-j', 'list', 'tables'], { timeoutMs: 10_000 });
    return null;
  } catch (thrown) {
    return asStrataError(thrown, 'nft').message;
  }
}

/** What the kernel has, or has as a module on disk. */
async function fileSystems(): Promise<readonly string[]> {
  const now = (await readFile('/proc/filesystems', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/).at(-1) ?? '');
  const release = (await readFile('/proc/sys/kernel/osrelease', 'utf8')).trim();
  const modules = await readFile(`/lib/modules/${release}/modules.dep`, 'utf8').catch(() => '');
  const onDisk = [...modules.matchAll(/\/([\w-]+)\.ko[.\w]*:/g)].map((match) => match[1] ?? '');
  return [...new Set([...now, ...onDisk])];
}

/** Of the folder, or of the nearest one above it that exists already. */
async function diskOf(path: string): Promise<HostFindings['disk']> {
  let at = path;
  while (at !== '/' && !(await stat(at).then((one) => one.isDirectory(), () => false))) at = dirname(at);
  const found = await statfs(at);
  return { path, totalBytes: found.blocks * found.bsize, freeBytes: found.bavail * found.bsize };
}
