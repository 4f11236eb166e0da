/**
 * A Debian system made of its packages' files alone, no script run: the packages are the layers, and what
 * the scripts of base-files and base-passwd would make is supplied here. Works for any architecture.
 */
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { childEnvironment, StrataError, type Architecture } from '#base';
import type { Layer } from '../flatten/layer.ts';
import { readTar } from '../tar/read-tar.ts';
import { tarEntry, type TarEntry } from '../tar/tar-entry.ts';
import { isKept } from './kept-files.ts';
import type { ResolvedPackage } from './resolve-packages.ts';
import { contentOf, madeLayer, tarFileLayer, type MadeEntry } from './tar-layers.ts';

/** How many packages are unpacked at once. */
const width = 2;

/** @param work folder for the packages' tars, removed by the caller */
export async function unpackedLayers(packages: readonly ResolvedPackage[], archives: string, work: string, architecture: Architecture, signal?: AbortSignal): Promise<readonly Layer[]> {
  const paths = packages.map((one, at) => ({ name: one.name, deb: join(archives, one.file), tar: join(work, `${at}.tar`) }));
  const pending = [...paths];
  await Promise.all(Array.from({ length: width }, async () => {
    for (let next = pending.shift(); next !== undefined; next = pending.shift()) await spoolTar(next.deb, next.tar, signal);
  }));
  const basePasswd = paths.find((one) => one.name === 'base-passwd');
  return [
    mergedUsr(architecture),
    ...paths.map((one) => tarFileLayer(`package ${one.name}`, one.tar, isKept)),
    madeLayer('what base-files and base-passwd make', await baseFiles(basePasswd?.tar)),
  ];
}

/** /bin and its like are links into /usr (what usrmerge or debootstrap would do). */
function mergedUsr(architecture: Architecture): Layer {
  const names = ['bin', 'sbin', 'lib', ...(architecture === 'x86_64' ? ['lib64'] : [])];
  return madeLayer('merged /usr', names.flatMap((name) => [
    { entry: tarEntry({ path: `usr/${name}`, type: 'directory' }) },
    { entry: tarEntry({ path: name, type: 'symlink', linkTarget: `usr/${name}` }) },
  ]));
}

async function baseFiles(basePasswdTar: string | undefined): Promise<MadeEntry[]> {
  const [passwd, group] = basePasswdTar === undefined ? ['', ''] : await Promise.all(['passwd', 'group'].map((name) => textIn(basePasswdTar, `usr/share/base-passwd/${name}.master`)));
  const users = (passwd || 'root:*:0:0:root:/root:/bin/bash\n').split('\n').filter((line) => line !== '');
  const file = (path: string, text: string, fields: Partial<TarEntry> = {}): MadeEntry => ({ entry: tarEntry({ path, type: 'file', size: Buffer.byteLength(text), ...fields }), content: contentOf(text) });
  const link = (path: string, linkTarget: string): MadeEntry => ({ entry: tarEntry({ path, type: 'symlink', linkTarget }) });
  const folder = (path: string, mode: number): MadeEntry => ({ entry: tarEntry({ path, type: 'directory', mode }) });
  return [
    file('etc/passwd', `${users.map((line) => line.replace(':*:', ':x:')).join('\n')}\n`),
    file('etc/shadow', `${users.map((line) => `${line.split(':')[0] ?? ''}:*:19000:0:99999:7:::`).join('\n')}\n`, { mode: 0o640, gid: 42 }),
    file('etc/group', (group || 'root:*:0:\n').replaceAll(':*:', ':x:')),
    file('etc/nsswitch.conf', 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n'),
    folder('tmp', 0o1777), folder('run', 0o755), folder('proc', 0o755), folder('sys', 0o755), folder('dev', 0o755), folder('root', 0o700), folder('run/lock', 0o1777),
    link('var/run', '/run'), link('var/lock', '/run/lock'), link('etc/mtab', '/proc/mounts'),
  ];
}

async function textIn(tar: string, path: string): Promise<string> {
  for await (const { entry, content } of readTar(createReadStream(tar))) {
    if (entry.path.replace(/^\.\//, '') !== path || entry.size > 1024 * 1024) continue;
    const parts: Buffer[] = [];
    for await (const part of content()) parts.push(part);
    return Buffer.concat(parts).toString('utf8');
  }
  return '';
}

/** The files of a package as an uncompressed tar, written by dpkg-deb itself. */
async function spoolTar(deb: string, tar: string, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const out = await open(tar, 'w', 0o600);
  try {
    await new Promise<void>((resolve, reject) => {
      const child = spawn('dpkg-deb', ['--fsys-tarfile', deb], { env: { ...childEnvironment }, stdio: ['ignore', out.fd, 'pipe'], timeout: 120_000, killSignal: 'SIGKILL', ...(signal === undefined ? {} : { signal }) });
      let errors = '';
      child.stderr?.on('data', (chunk: Buffer) => { errors = (errors + chunk.toString('utf8')).slice(-1024); });
      child.on('error', reject);
      child.on('close', (code) => {
        if (code === 0) resolve();
        else reject(new StrataError(`package file ${deb} cannot be read: ${errors.trim()}`, { code: 'image.badPackage', kind: 'internal', advice: 'remove it; it will be fetched again' }));
      });
    });
  } finally { await out.close(); }
  if ((await stat(tar)).size === 0) throw new StrataError(`package file ${deb} is empty`, { code: 'image.badPackage', kind: 'internal', advice: 'remove it; it will be fetched again' });
}
