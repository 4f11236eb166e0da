/** An OCI image layout with nothing but Debian's static busybox, made without any registry. */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProcess } from '#base';

/** The files of the image, for other runtimes. */
export async function makeBusyboxRoot(folder: string): Promise<string> {
  const root = join(folder, 'busybox');
  await mkdir(join(root, 'bin'), { recursive: true });
  await copyFile('/bin/busybox', join(root, 'bin/busybox'));
  return root;
}

/** @returns the layout's folder, for `images.importArchive` */
export async function makeBusyboxLayout(folder: string): Promise<string> {
  const root = await makeBusyboxRoot(folder);
  const layout = join(folder, 'layout');
  await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
  const keep = async (content: Buffer | string): Promise<{ readonly digest: string; readonly size: number }> => {
    const hex = createHash('sha256').update(content).digest('hex');
    const path = join(layout, 'blobs/sha256', hex);
    await writeFile(path, content);
    return { digest: `sha256:${hex}`, size: (await stat(path)).size };
  };
  await runProcess(['tar', '-C', root, '--owner=0', '--group=0', '-cf', join(folder, 'layer.tar'), '.']);
  const layer = await keep(await readFile(join(folder, 'layer.tar')));
  const config = await keep(JSON.stringify({ architecture: 'amd64', os: 'linux', config: { Cmd: ['/bin/busybox', 'echo', 'hello'] }, rootfs: { type: 'layers', diff_ids: [layer.digest] } }));
  const types = 'application/vnd.oci.image';
  const manifest = await keep(JSON.stringify({ schemaVersion: 2, mediaType: `${types}.manifest.v1+json`, config: { mediaType: `${types}.config.v1+json`, ...config }, layers: [{ mediaType: `${types}.layer.v1.tar`, ...layer }] }));
  await writeFile(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: `${types}.manifest.v1+json`, ...manifest, platform: { architecture: 'amd64', os: 'linux' } }] }));
  await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  return layout;
}
