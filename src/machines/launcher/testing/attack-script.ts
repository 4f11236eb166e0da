/** What a captured VMM would try. Each attempt that succeeds prints a line; silence is the aim. Runs in busybox' shell. */
export interface AttackTargets {
  /** Files of others: a disk, the store, a key. */
  readonly files: readonly string[];
  readonly sockets: readonly string[];
  /** Pids on the host. */
  readonly processes: readonly number[];
  /** Address and port of something that listens on the host. */
  readonly listener: { readonly address: string; readonly port: number };
}

export function attackScript(targets: AttackTargets): string {
  const busybox = (command: string): string => `/bin/busybox ${command}`;
  const attempts: (readonly [string, string])[] = [
    ...targets.files.map((path) => [`read ${path}`, busybox(`cat ${path}`)] as const),
    ...targets.files.map((path) => [`write ${path}`, `echo x > ${path}`] as const),
    ...targets.sockets.map((path) => [`connect ${path}`, busybox(`nc local:${path}`)] as const),
    ...targets.processes.flatMap((pid) => [[`signal ${pid}`, `kill -0 ${pid}`], [`see ${pid}`, busybox(`ls /proc/${pid}`)]] as const),
    ['see processes', busybox('ls /proc/1')],
    ['kill all others', 'kill -9 -1'],
    ['write the root folder', 'echo x > /x'],
    ['write among the programs', 'echo x > /bin/x'],
    ['write a device folder', 'echo x > /dev/x'],
    ['make the root writable', busybox('mount -o remount,rw /')],
    ['mount tmpfs', busybox('mount -t tmpfs x /dev')],
    ['mount proc', busybox('mount -t proc x /bin')],
    ['unmount', busybox('umount /bin/busybox')],
    ['make a device', busybox('mknod /dev/vda b 254 0')],
    ['open the host\'s disk', busybox('cat /dev/vda')],
    ['open kvm', busybox('cat /dev/kvm')],
    ['make namespaces', busybox('unshare -m true')],
    ['make a user namespace', busybox('unshare -U -r true')],
    ['enter namespaces', busybox('nsenter -t 1 -m true')],
    ['change the root', busybox('chroot / true')],
    ['become root', busybox('setuidgid 0 true')],
    ['rename the host', busybox('hostname captured')],
    ['reach the host', busybox(`nc -w 2 ${targets.listener.address} ${targets.listener.port}`)],
    ['reach the metadata service', busybox('nc -w 2 169.254.169.254 80')],
    ['ask a name server', busybox('nslookup example.org 1.1.1.1')],
    ['listen', busybox('timeout 1 nc -l -p 8080')],
    ['see interfaces', busybox('ip link set lo up')],
    ['raise its priority', busybox('nice -n -5 true')],
    ['read the kernel\'s log', busybox('dmesg')],
    ['reboot', busybox('reboot -f')],
    ['leave the jail by ..', busybox('cat ../../../../etc/hostname')],
  ];
  return attempts.map(([name, command]) => `if (${command}) </dev/null >/dev/null 2>&1; then echo "SUCCEEDED: ${name}" >&2; fi`).concat('echo "all tried" >&2').join('\n');
}

/** Attempts that the script makes, for the test's own check that it tried them. */
export const finished = 'all tried';
