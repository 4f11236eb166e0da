/** The Debian packages Strata needs on a host: why, since which version, which programs they bring. */
import type { Architecture } from '#base';

export interface HostPackage {
  readonly name: string;
  /** What does not work without it. */
  readonly purpose: string;
  /** Programs Strata calls from it. */
  readonly programs: readonly string[];
  /** Debian version below which it does not serve. */
  readonly minimal?: string;
  /** `host`: to run apps; `build`: to make the guest OS and images; `arm64`, `amd64`: for guests of another architecture; `tests`; `bench`. */
  readonly use: 'host' | 'build' | 'arm64' | 'amd64' | 'tests' | 'bench';
}

export const hostPackages: readonly HostPackage[] = [
  { name: 'qemu-system-x86', purpose: 'runs x86_64 machines', programs: ['qemu-system-x86_64'], minimal: '1:7.2', use: 'host' },
  { name: 'qemu-system-arm', purpose: 'runs aarch64 machines', programs: ['qemu-system-aarch64'], minimal: '1:7.2', use: 'host' },
  { name: 'qemu-system-common', purpose: 'serves disks to machines from a process of their own', programs: ['qemu-storage-daemon'], minimal: '1:7.2', use: 'host' },
  { name: 'qemu-utils', purpose: 'copies disks whole, with all that lies below them', programs: ['qemu-img'], minimal: '1:7.2', use: 'host' },
  { name: 'bubblewrap', purpose: 'runs the scripts of Debian packages apart from the host', programs: ['bwrap'], minimal: '0.8', use: 'build' },
  { name: 'haproxy', purpose: 'gateway: spreads requests over replicas', programs: ['haproxy'], minimal: '2.6', use: 'host' },
  { name: 'nftables', purpose: 'isolates networks, spreads virtual addresses', programs: ['nft'], minimal: '1.0', use: 'host' },
  { name: 'iproute2', purpose: 'bridge, taps and neighbours', programs: ['ip', 'bridge'], use: 'host' },
  { name: 'squashfs-tools', purpose: 'packs images into disks', programs: ['mksquashfs', 'sqfstar', 'unsquashfs'], minimal: '1:4.5', use: 'host' },
  { name: 'e2fsprogs', purpose: 'makes volumes', programs: ['mkfs.ext4', 'debugfs', 'dumpe2fs', 'e2fsck'], use: 'host' },
  { name: 'gcc', purpose: 'builds the small C parts of the guest OS and the launcher', programs: ['gcc'], use: 'build' },
  { name: 'libc6-dev', purpose: 'headers and static C library for them', programs: [], use: 'build' },
  { name: 'xz-utils', purpose: 'unpacks Debian packages and image layers', programs: ['xz'], use: 'build' },
  { name: 'gcc-aarch64-linux-gnu', purpose: 'builds the guest OS for aarch64', programs: ['aarch64-linux-gnu-gcc'], use: 'arm64' },
  { name: 'libc6-dev-arm64-cross', purpose: 'C library of the guest OS for aarch64', programs: [], use: 'arm64' },
  { name: 'gcc-x86-64-linux-gnu', purpose: 'builds the guest OS for x86_64', programs: ['x86_64-linux-gnu-gcc'], use: 'amd64' },
  { name: 'libc6-dev-amd64-cross', purpose: 'C library of the guest OS for x86_64', programs: [], use: 'amd64' },
  { name: 'busybox-static', purpose: 'small programs for images in tests', programs: ['busybox'], use: 'tests' },
  { name: 'coreutils', purpose: 'copies disks', programs: ['cp', 'stat', 'sha256sum'], use: 'host' },
  { name: 'docker-registry', purpose: 'image registry on loopback for tests', programs: ['docker-registry'], use: 'tests' },
  { name: 'curl', purpose: 'asks as a client in tests', programs: ['curl'], use: 'tests' },
  { name: 'procps', purpose: 'looks for processes in tests', programs: ['pgrep'], use: 'tests' },
  { name: 'crun', purpose: 'starts containers by hand in benches', programs: ['crun'], use: 'bench' },
  { name: 'wrk', purpose: 'loads the gateway in benches', programs: ['wrk'], use: 'bench' },
];

/** What a host of that architecture needs; with tests also what they need. */
export function packagesFor(architecture: Architecture, withTests = false): readonly HostPackage[] {
  const foreign = architecture === 'x86_64' ? 'arm64' : 'amd64';
  return hostPackages.filter(({ use }) => use === 'host' || use === 'build' || use === foreign || (withTests && use === 'tests'));
}
