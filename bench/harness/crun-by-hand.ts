/** A container by hand in a guest: this host's crun, copied in, run on a root that is mounted already. */
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { runProcess } from '#base';
import type { AgentConnection, AgentStream } from '#machines';

const copyPiece = 512 * 1024;

/** The first bytes that a stream carries. */
export function firstOutput(stream: AgentStream, limitMs = 60_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no output within ${limitMs} ms`)), limitMs);
    stream.output.once('data', (chunk: Buffer) => { clearTimeout(late); resolve(chunk.toString('utf8')); });
  });
}

/** Puts crun and its bundle into the guest. @param sleeper id of a container of ours whose root is used */
export async function prepareByHand(agent: AgentConnection, sleeper: string): Promise<void> {
  await inGuest(agent, ['/bin/mkdir', '-p', '/run/by-hand']).then(({ stream }) => stream.done);
  await copyCrun(agent);
  await makeBundle(agent, sleeper);
}

/** Runs a program in the guest itself. */
async function inGuest(agent: AgentConnection, argv: readonly string[]): Promise<{ readonly stream: AgentStream; readonly first: Promise<string> }> {
  const stream = agent.openStream();
  const first = firstOutput(stream);
  first.catch(() => undefined); // not every program prints
  await agent.call('exec', { container: '', stream: stream.id, argv, env: ['PATH=/usr/bin:/bin', 'XDG_RUNTIME_DIR=/run'], cwd: '/', user: '', tty: null, stdin: false });
  return { stream, first };
}

let handRuns = 0;

/** Seconds to the first output. */
export async function startByHand(agent: AgentConnection): Promise<number> {
  handRuns += 1;
  const began = performance.now();
  const { stream, first } = await inGuest(agent, ['/usr/bin/crun', '--root', '/run/crun-by-hand', 'run', '--bundle', '/run/by-hand', `hand${handRuns}`]);
  const text = await first;
  const took = (performance.now() - began) / 1000;
  if (!text.includes('hello')) throw new Error(`crun said ${text}`);
  await stream.done;
  return took;
}

/** Copies a file of this host into the guest, in the parts that the agent takes. */
async function copyIn(agent: AgentConnection, path: string): Promise<void> {
  const bytes = await readFile(path);
  await inGuest(agent, ['/bin/mkdir', '-p', dirname(path)]).then(({ stream }) => stream.done);
  for (let at = 0; at < bytes.length; at += copyPiece) {
    await agent.call('fileWrite', { container: '', path, content: bytes.subarray(at, at + copyPiece).toString('base64'), mode: 0o755, append: at > 0 });
  }
}

/** crun with the libraries it loads, as `ldd` lists them: `libyajl.so.2 => /lib/… (0x…)`, and the loader without an arrow. */
async function copyCrun(agent: AgentConnection): Promise<void> {
  const { stdout } = await runProcess(['ldd', '/usr/bin/crun']);
  const libraries = stdout.split('\n').flatMap((line) => /(?:=>\s+|^\s+)(\/\S+)/.exec(line)?.[1] ?? []);
  for (const path of ['/usr/bin/crun', ...libraries]) await copyIn(agent, path);
}

/** What the agent's own steps add up to, in the words of the runtime specification. */
async function makeBundle(agent: AgentConnection, sleeper: string): Promise<void> {
  const capabilities = ['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP', 'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'].map((name) => `CAP_${name}`);
  const mount = (destination: string, type: string, ...options: string[]) => ({ destination, type, source: type, options: ['nosuid', ...options] });
  const config = {
    ociVersion: '1.0.2',
    process: { terminal: false, user: { uid: 0, gid: 0 }, args: ['/bin/busybox', 'sh', '-c', 'echo hello'], env: ['PATH=/bin', 'HOME=/root'], cwd: '/', capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities }, noNewPrivileges: false },
    root: { path: `/run/containers/${sleeper}/rootfs`, readonly: false },
    hostname: 'bench',
    mounts: [
      mount('/proc', 'proc', 'noexec', 'nodev'), mount('/dev', 'tmpfs', 'strictatime', 'mode=755', 'size=65536k'), mount('/dev/pts', 'devpts', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'),
      mount('/dev/mqueue', 'mqueue', 'noexec', 'nodev'), mount('/dev/shm', 'tmpfs', 'noexec', 'nodev', 'mode=1777', 'size=65536k'), mount('/sys', 'sysfs', 'noexec', 'nodev', 'ro'), mount('/sys/fs/cgroup', 'cgroup', 'noexec', 'nodev', 'relatime', 'ro'),
    ],
    linux: {
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'cgroup', 'network'].map((type) => ({ type })), cgroupsPath: '/strata/by-hand', resources: { devices: [{ allow: false, access: 'rwm' }] }, sysctl: { 'net.ipv4.ip_unprivileged_port_start': '0' },
      maskedPaths: ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/sched_debug', '/proc/scsi', '/sys/firmware'], readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
  await agent.call('fileWrite', { container: '', path: '/run/by-hand/config.json', content: Buffer.from(JSON.stringify(config)).toString('base64'), mode: 0o600, append: false });
}
