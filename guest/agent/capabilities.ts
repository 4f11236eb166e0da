/** What a container may do, as Docker has it: its default capabilities, plus and minus what is said. Pure. */
import type { GuestContainerSpec } from '../protocol/messages.ts';

/** In the order of the kernel's numbers (linux/capability.h). */
const names = ['CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP', 'LINUX_IMMUTABLE', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER',
  'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP',
  'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF', 'CHECKPOINT_RESTORE'];
const byDefault = ['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP', 'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'];

/** @throws Error for a name the kernel does not know */
export function capabilitiesOf(spec: GuestContainerSpec): string[] {
  const plain = (name: string) => name.toUpperCase().replace(/^CAP_/, '');
  const drop = new Set(spec.capabilities.drop.map(plain));
  const add = spec.capabilities.add.map(plain);
  const unknown = [...add, ...drop].find((name) => name !== 'ALL' && !names.includes(name));
  if (unknown !== undefined) throw new Error(`there is no capability ${unknown}`);
  const base = spec.privileged || add.includes('ALL') ? names : drop.has('ALL') ? [] : byDefault;
  const kept = [...base, ...add.filter((name) => name !== 'ALL')].filter((name) => !drop.has(name) || add.includes(name));
  return [...new Set(kept)];
}

/** The same as the kernel's two words. */
export function capabilityWords(spec: GuestContainerSpec): [low: number, high: number] {
  const words: [number, number] = [0, 0];
  for (const name of capabilitiesOf(spec)) {
    const number = names.indexOf(name);
    words[number < 32 ? 0 : 1] |= 1 << (number & 31);
  }
  return [words[0] >>> 0, words[1] >>> 0];
}
