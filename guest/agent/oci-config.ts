/** The OCI runtime configuration (runtime-spec config.md) that crun gets, from our own specification. Pure. */
import type { GuestContainerSpec } from '../protocol/messages.ts';
import type { Identity } from './users.ts';

/** Docker's default capabilities. */
const defaultCapabilities = ['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP', 'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'];
const allCapabilities = ['AUDIT_CONTROL', 'AUDIT_READ', 'BLOCK_SUSPEND', 'BPF', 'CHECKPOINT_RESTORE', 'DAC_READ_SEARCH', 'IPC_LOCK', 'IPC_OWNER', 'LEASE', 'LINUX_IMMUTABLE', 'MAC_ADMIN', 'MAC_OVERRIDE',
  'NET_ADMIN', 'NET_BROADCAST', 'PERFMON', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_MODULE', 'SYS_NICE', 'SYS_PACCT', 'SYS_PTRACE', 'SYS_RAWIO', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'SYSLOG', 'WAKE_ALARM', ...defaultCapabilities];
const maskedPaths = ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/sched_debug', '/proc/scsi', '/sys/firmware'];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

export function capabilitiesOf(spec: GuestContainerSpec): string[] {
  const plain = (name: string) => name.toUpperCase().replace(/^CAP_/, '');
  const drop = new Set(spec.capabilities.drop.map(plain));
  const add = spec.capabilities.add.map(plain);
  const base = spec.privileged || add.includes('ALL') ? allCapabilities : drop.has('ALL') ? [] : defaultCapabilities;
  const kept = [...base, ...add.filter((name) => name !== 'ALL')].filter((name) => !drop.has(name) || add.includes(name));
  return [...new Set(kept)].map((name) => `CAP_${name}`);
}

/** Where our own executable is seen in a container that asked for an init process; it reaps and passes signals on. */
const initPath = '/sbin/docker-init';

export interface Places {
  readonly root: string;
  readonly networkNamespace: string;
  /** Host side of each file mount, by target. */
  readonly files: ReadonlyMap<string, string>;
  /** Folder of each volume mount, by target. */
  readonly volumes: ReadonlyMap<string, string>;
}

export function ociConfig(spec: GuestContainerSpec, identity: Identity, places: Places): Record<string, unknown> {
  const capabilities = capabilitiesOf(spec);
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: identity.uid, gid: identity.gid, additionalGids: [...identity.groups] },
      args: spec.init ? [initPath, '--', ...spec.argv] : [...spec.argv],
      env: spec.env.some((pair) => pair.startsWith('HOME=')) ? [...spec.env] : [...spec.env, `HOME=${identity.home}`],
      cwd: spec.cwd,
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      rlimits: spec.ulimits.map((limit) => ({ type: `RLIMIT_${limit.name.toUpperCase()}`, soft: limit.soft, hard: limit.hard })),
      noNewPrivileges: false,
    },
    root: { path: places.root, readonly: spec.readOnlyRoot },
    hostname: spec.hostname,
    mounts: mountsOf(spec, places),
    linux: {
      namespaces: [{ type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }, { type: 'cgroup' }, { type: 'network', path: places.networkNamespace }],
      cgroupsPath: `/strata/${spec.id}`,
      resources: resourcesOf(spec),
      sysctl: { 'net.ipv4.ip_unprivileged_port_start': '0', ...spec.sysctls },
      ...(spec.privileged ? {} : { maskedPaths, readonlyPaths }),
    },
  };
}

function resourcesOf(spec: GuestContainerSpec): Record<string, unknown> {
  const { cpus, memoryBytes, pids } = spec.limits;
  const devices = spec.privileged ? { devices: [{ allow: true, access: 'rwm' }] } : { devices: [{ allow: false, access: 'rwm' }] };
  return {
    ...devices,
    ...(cpus === undefined ? {} : { cpu: { quota: Math.max(1000, Math.round(cpus * 100_000)), period: 100_000 } }),
    ...(memoryBytes === undefined ? {} : { memory: { limit: memoryBytes, swap: memoryBytes } }),
    ...(pids === undefined ? {} : { pids: { limit: pids } }),
  };
}

function mountsOf(spec: GuestContainerSpec, places: Places): Record<string, unknown>[] {
  const tmpfs = (target: string, options: string[]) => ({ destination: target, type: 'tmpfs', source: 'tmpfs', options });
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    tmpfs('/dev', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    tmpfs('/dev/shm', ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${spec.shmBytes > 0 ? spec.shmBytes : 67_108_864}`]),
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', spec.privileged ? 'rw' : 'ro'] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'] },
    ...(spec.init ? [{ destination: initPath, type: 'bind', source: '/init', options: ['bind', 'ro', 'nosuid', 'nodev'] }] : []),
    ...spec.mounts.map((mount) => {
      if (mount.kind === 'tmpfs') return tmpfs(mount.target, ['nosuid', 'nodev', `mode=${(mount.mode ?? 0o1777).toString(8)}`, ...(mount.sizeBytes === undefined ? [] : [`size=${mount.sizeBytes}`])]);
      if (mount.kind === 'file') return { destination: mount.target, type: 'bind', source: places.files.get(mount.target) ?? '', options: ['bind', 'rw', 'nosuid', 'nodev'] };
      return { destination: mount.target, type: 'bind', source: places.volumes.get(mount.target) ?? '', options: ['rbind', mount.readOnly ? 'ro' : 'rw', 'nosuid', 'nodev'] };
    }),
  ];
}
