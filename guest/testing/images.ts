/** Disks for tests: an image with busybox, an empty scratch disk or volume. */
import { rmSync } from 'node:fs';
import { chmod, chown, cp, mkdir, mkdtemp, open, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostArchitecture, runProcess, type Architecture } from '#base';

const applets = ['sh', 'cat', 'echo', 'sleep', 'id', 'env', 'pwd', 'ls', 'stat', 'dd', 'head', 'tail', 'wc', 'md5sum', 'yes', 'true', 'false', 'kill', 'hostname', 'mount', 'umount', 'mknod', 'touch', 'httpd', 'nc',
  'ip', 'ps', 'seq', 'printf', 'stty', 'tty', 'uname', 'test', 'mkdir', 'rm', 'grep', 'nproc', 'ping', 'wget', 'od', 'tr', 'chmod', 'chown', 'sync', 'date', 'usleep', 'df', 'awk', 'sed', 'nohup', 'setsid', 'cut', 'sort'];

/** A squashfs with busybox, two users, and a folder /data that belongs to `app`. */
export async function makeImage(folder: string, architecture: Architecture = 'x86_64'): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'image-'));
  try {
    for (const name of ['bin', 'etc', 'tmp', 'proc', 'sys', 'dev', 'data', 'var/www']) await mkdir(join(root, name), { recursive: true });
    await chmod(join(root, 'tmp'), 0o1777);
    await cp(await busybox(architecture), join(root, 'bin/busybox'));
    await chmod(join(root, 'bin/busybox'), 0o755);
    for (const name of applets) await symlink('busybox', join(root, 'bin', name));
    await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/var/www:/bin/sh\n');
    await writeFile(join(root, 'etc/group'), 'root:x:0:\napp:x:1001:\nlogs:x:1500:app\nextra:x:1600:\n');
    await writeFile(join(root, 'etc/secret'), 'only root\n', { mode: 0o600 });
    await writeFile(join(root, 'data/seed'), 'from the image\n');
    await chown(join(root, 'data/seed'), 1000, 1001);
    await chown(join(root, 'data'), 1000, 1001);
    await chmod(join(root, 'data'), 0o750);
    await symlink('/proc/1/environ', join(root, 'etc/leak'));
    await symlink('/etc/passwd', join(root, 'leads-out'));
    await symlink('made/later', join(root, 'leads-on'));
    const place = join(folder, `image-${architecture}.squashfs`);
    await runProcess(['mksquashfs', root, place, '-comp', 'lz4', '-noappend', '-quiet', '-no-progress'], { timeoutMs: 120_000 });
    return place;
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Debian's static busybox of the architecture; for another than the host's from the package of that architecture. */
export async function busybox(architecture: Architecture): Promise<string> {
  if (architecture === hostArchitecture) return '/bin/busybox';
  const { openDebianArchive } = await import('../../src/machines/guest-os/debian-archive.ts');
  const { instanceFromEnvironment } = await import('#base');
  const cache = instanceFromEnvironment(process.env).cacheDir;
  const archive = await openDebianArchive(join(cache, 'debian'));
  const [file] = await archive.fetch([{ name: 'busybox-static', suite: 'bookworm', architecture }]);
  const place = await mkdtemp(join(tmpdir(), 'busybox-'));
  process.once('exit', () => rmSync(place, { recursive: true, force: true }));
  await runProcess(['dpkg-deb', '--extract', '--', file?.path ?? '', place]);
  return join(place, 'bin/busybox');
}

/** A sparse file with an empty ext4, as the engine makes scratch disks and volumes. */
export async function makeExt4(place: string, mebibytes = 256): Promise<string> {
  const file = await open(place, 'w', 0o600);
  try { await file.truncate(mebibytes * 1024 * 1024); } finally { await file.close(); }
  await runProcess(['mkfs.ext4', '-q', '-F', '-m', '0', '-E', 'lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0', '--', place], { timeoutMs: 60_000 });
  return place;
}
