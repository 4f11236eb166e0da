/** Judges what was found on a host: one line for each thing Strata needs, with advice (`strata doctor`). Pure. */
import type { FoundPackage } from './find-packages.ts';
import type { Proof } from './host.ts';

export interface HostCheck {
  readonly name: string;
  readonly purpose: string;
  readonly status: 'ok' | 'warn' | 'fail';
  /** Version or what was seen; 'missing'. */
  readonly found: string;
  /** What to do; empty where nothing is. */
  readonly advice: string;
}

export interface HostFindings {
  readonly root: boolean;
  readonly packages: readonly FoundPackage[];
  /** `v2`: one hierarchy; `hybrid`: v1 controllers with a v2 mount beside. */
  readonly cgroup: 'v2' | 'hybrid' | 'v1' | 'none';
  readonly tun: boolean;
  /** null where it works, else what nft said. */
  readonly nftables: string | null;
  readonly kernelFileSystems: readonly string[];
  readonly memory: { readonly totalMiB: number; readonly availableMiB: number };
  readonly disk: { readonly path: string; readonly totalBytes: number; readonly freeBytes: number };
  /** Proofs by guests that ran; empty where none was run yet. */
  readonly proofs: readonly Proof[];
}

export function checkHost(findings: HostFindings): readonly HostCheck[] {
  return [
    item('root', 'makes networks, mounts and jails', findings.root ? 'ok' : 'fail', findings.root ? 'yes' : 'no', 'run as root'),
    ...findings.packages.map(checkPackage),
    checkCgroup(findings.cgroup),
    item('tun', 'connects machines to the network', findings.tun ? 'ok' : 'fail', findings.tun ? '/dev/net/tun' : 'missing', 'load it: `modprobe tun`'),
    item('nftables in the kernel', 'isolates networks, spreads virtual addresses', findings.nftables === null ? 'ok' : 'fail', findings.nftables ?? 'works', 'use a kernel with nf_tables (`modprobe nf_tables`)'),
    ...['overlay', 'squashfs'].map((name) => checkFileSystem(name, findings.kernelFileSystems)),
    checkMemory(findings.memory),
    checkDisk(findings.disk),
    ...checkProofs(findings.proofs),
  ];
}

/** `advice` is given only where something is to be done. */
function item(name: string, purpose: string, status: HostCheck['status'], found: string, advice: string): HostCheck {
  return { name, purpose, status, found, advice: status === 'ok' ? '' : advice };
}

function checkPackage(one: FoundPackage): HostCheck {
  const install = `apt-get install ${one.name}`;
  if (one.version === null) return item(one.name, one.purpose, 'fail', 'missing', install);
  return item(one.name, one.purpose, one.serves ? 'ok' : 'fail', one.version, `version ${one.minimal ?? ''} or newer is needed: ${install}`);
}

function checkCgroup(mode: HostFindings['cgroup']): HostCheck {
  const advice = 'machines run, but their memory and processors are bounded by the machine itself only; boot with `systemd.unified_cgroup_hierarchy=1`';
  return item('cgroup', 'bounds what a machine takes from the host', mode === 'v2' ? 'ok' : 'warn', mode, advice);
}

function checkFileSystem(name: string, known: readonly string[]): HostCheck {
  const there = known.includes(name);
  return item(name, 'looks into images on the host (guests bring their own)', there ? 'ok' : 'warn', there ? 'in the kernel' : 'missing', `load it: \`modprobe ${name}\``);
}

function checkMemory({ totalMiB, availableMiB }: HostFindings['memory']): HostCheck {
  const status = availableMiB < 512 ? 'fail' : availableMiB < 2048 ? 'warn' : 'ok';
  return item('memory', 'carries machines', status, `${availableMiB} of ${totalMiB} MiB available`, 'stop other programs or add memory; a small app needs about 1 GiB');
}

function checkDisk({ path, totalBytes, freeBytes }: HostFindings['disk']): HostCheck {
  const gib = (bytes: number) => (bytes / 1024 ** 3).toFixed(1);
  const status = freeBytes < 1024 ** 3 ? 'fail' : freeBytes < 5 * 1024 ** 3 ? 'warn' : 'ok';
  return item('disk', 'carries images and volumes', status, `${gib(freeBytes)} of ${gib(totalBytes)} GiB free at ${path}`, 'free space, or set STRATA_STATE to a larger file system');
}

/** KVM is good to have; an architecture that runs nowhere is a failure. */
function checkProofs(proofs: readonly Proof[]): HostCheck[] {
  return proofs.map((proof) => {
    const name = `${proof.engine} ${proof.architecture} ${proof.accelerator}`;
    const elsewhere = proofs.some((other) => other.architecture === proof.architecture && other.works);
    if (proof.works) return item(name, 'runs guests', 'ok', proof.evidence, '');
    const optional = elsewhere || proof.accelerator === 'kvm';
    return item(name, 'runs guests', optional ? 'warn' : 'fail', proof.evidence, proof.accelerator === 'kvm' ? 'none is needed: machines run emulated; for speed enable hardware virtualization' : `reinstall the package that runs ${proof.architecture} machines`);
  });
}
