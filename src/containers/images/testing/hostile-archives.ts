/** Archives that no honest program makes; each with what the refusal must say. Generated, so that nothing hostile lies in the repository. */
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { configOf, descriptorOf, digestOf, imageBlobs, indexOf, indexType, layerOf, layoutArchive, savedArchive, type MadeLayer } from './make-archive.ts';
import { device, file, folder, hardlink, meta, paxRecord, symlink, tampered, tarOf, type Piece } from './make-tar.ts';

export interface Hostile { readonly name: string; readonly says: RegExp; readonly make: () => Buffer }

const inLayer = (name: string, says: RegExp, ...pieces: Piece[]): Hostile => ({ name, says, make: () => savedArchive([layerOf(tarOf(...pieces))]) });
const inLayers = (name: string, says: RegExp, ...layers: Piece[][]): Hostile => ({ name, says, make: () => savedArchive(layers.map((pieces) => layerOf(tarOf(...pieces)))) });
const rawLayer = (name: string, says: RegExp, make: () => MadeLayer): Hostile => ({ name, says, make: () => savedArchive([make()]) });
const archive = (name: string, says: RegExp, make: () => Buffer): Hostile => ({ name, says, make });

const sizeField = (change: (block: Buffer) => void) => tampered(file('big', 'x'), change);
const base256 = (...bytes: number[]) => (block: Buffer) => { block.fill(0, 124, 136); Buffer.from(bytes).copy(block, 136 - bytes.length); block[124] = (block[124] ?? 0) | 0x80; };
const good = () => layerOf(tarOf(file('a', 'a')));
const other = () => layerOf(tarOf(file('b', 'b')));

const names: readonly Hostile[] = [
  inLayer('a name that climbs', /leaves the root/, file('../evil', 'x')),
  inLayer('a name that climbs in the middle', /leaves the root/, file('a/../../evil', 'x')),
  inLayer('an absolute name that climbs', /leaves the root/, file('/../evil', 'x')),
  inLayer('a folder that climbs', /leaves the root/, folder('../../etc')),
  inLayer('a name that is only `..`', /leaves the root/, folder('..')),
  inLayer('NUL in a pax path', /NUL/, meta('x', paxRecord('path', 'a\0/../etc')), file('a', '')),
  inLayer('NUL in a pax link', /NUL/, meta('x', paxRecord('linkpath', '/etc\0x')), symlink('a', 'b')),
  inLayer('a climbing pax path', /leaves the root/, meta('x', paxRecord('path', '../../root/.ssh/authorized_keys')), file('a', 'x')),
  inLayer('a climbing global pax path', /leaves the root/, meta('g', paxRecord('path', '../x')), file('a', 'x')),
  inLayer('a climbing GNU long name', /leaves the root/, meta('L', '../../etc/cron.d/x\0'), file('a', 'x')),
  inLayer('an empty name', /no name/, tampered(file('a', ''), (block) => { block.fill(0, 0, 100); })),
  inLayer('a part of 300 bytes', /longer than 255/, file('n'.repeat(300), '')),
  inLayer('a depth of 1000', /deeper than 200/, file(`${'a/'.repeat(1000)}b`, '')),
  inLayer('a name of 5000 bytes', /longer than 4096/, file('ab/'.repeat(1700), '')),
  inLayer('a root that is a symlink', /root must be a directory/, symlink('./', '/etc')),
  inLayer('a root that is a file', /root must be a directory/, file('.', 'x')),
];

const links: readonly Hostile[] = [
  inLayer('a write through a symlink', /leads through "a", which is a symlink/, symlink('a', '/etc'), file('a/passwd', 'x')),
  inLayers('a write through a symlink of a lower layer', /which is a symlink/, [symlink('a', '../../..')], [file('a/x', 'x')]),
  inLayer('a write through a chain of symlinks', /which is a symlink/, folder('d'), symlink('d/e', '..'), symlink('f', 'd/e/..'), file('f/x', 'x')),
  inLayer('a folder that becomes a symlink', /which is a symlink/, folder('d'), symlink('d', '/etc'), file('d/shadow', 'x')),
  inLayer('a write below a file', /which is no directory/, file('a', 'x'), file('a/b', 'x')),
  inLayer('a hard link that climbs', /leaves the root/, hardlink('a', '../../etc/passwd')),
  inLayer('a hard link to an absolute file of the host', /not in the image/, hardlink('a', '/etc/passwd')),
  inLayer('a hard link through a symlink', /not in the image/, symlink('d', '/etc'), hardlink('a', 'd/passwd')),
  inLayer('a hard link to a directory', /to a directory/, folder('d'), hardlink('a', 'd')),
  inLayer('a hard link to itself', /not in the image/, hardlink('a', 'a')),
  inLayer('a symlink without target', /without a target/, symlink('a', '')),
];

const whiteouts: readonly Hostile[] = [
  inLayers('a whiteout of `..`', /names nothing/, [file('a', '')], [file('.wh...')]),
  inLayer('a whiteout of `.`', /names nothing/, file('d/.wh..')),
  inLayer('a whiteout of nothing', /names nothing/, file('.wh.')),
  inLayers('a whiteout through a symlink', /whiteout leads through a symlink/, [symlink('d', '/etc')], [file('d/.wh.passwd')]),
  inLayers('an opaque whiteout through a symlink', /whiteout leads through a symlink/, [symlink('d', '/etc')], [file('d/.wh..wh..opq')]),
  inLayer('a file inside a whiteout', /inside a whiteout/, file('.wh.d/x', 'x')),
  inLayer('a whiteout that climbs', /leaves the root/, file('../.wh.etc')),
  inLayers('a link into the old bookkeeping of aufs', /not in the image/, [hardlink('a', '.wh..wh.plnk/1.2')]),
];

const numbers: readonly Hostile[] = [
  inLayer('a negative size in base 256', /out of range/, sizeField((block) => { block.fill(0xff, 124, 136); })),
  inLayer('a size of 2^80', /out of range/, sizeField(base256(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))),
  inLayer('a size of 1 PiB', /ends in the middle|more than \d+ bytes/, sizeField(base256(4, 0, 0, 0, 0, 0, 0))),
  inLayer('a size that is no number', /out of range/, sizeField((block) => { block.write('9z9z9z9z9z9\0', 124, 'latin1'); })),
  inLayer('a size beyond the archive', /ends in the middle/, sizeField((block) => { block.write('00000400000\0', 124, 'latin1'); })),
  inLayer('a negative pax size', /out of range/, meta('x', paxRecord('size', '-1')), file('a', 'x')),
  inLayer('a pax size of 10^15', /ends in the middle|more than \d+ bytes/, meta('x', paxRecord('size', '1000000000000000')), file('a', 'x')),
  inLayer('a pax size too long', /out of range/, meta('x', paxRecord('size', '9'.repeat(30))), file('a', 'x')),
  inLayer('an owner of 2^31', /owner .* out of range/, file('a', '', { uid: 2 ** 31 })),
  inLayer('a group of 2^32 + 0', /owner .* out of range/, file('a', '', { gid: 2 ** 32 })),
  inLayer('a pax owner of minus one', /out of range/, meta('x', paxRecord('uid', '-1')), file('a', '')),
  inLayer('a device number out of range', /device number/, tampered(device('sda', 1, 1), (block) => { block.write('7777777\0', 329, 'latin1'); })),
  inLayer('a sparse file of 1 PiB (pax)', /sparse/, meta('x', paxRecord('GNU.sparse.major', '1') + paxRecord('GNU.sparse.realsize', `${2 ** 50}`)), file('a', '')),
  inLayer('a sparse file (GNU)', /sparse/, tampered(file('a', ''), (block) => { block.write('S', 156, 'latin1'); })),
];

const shapes: readonly Hostile[] = [
  inLayer('a wrong checksum', /wrong checksum/, ((piece) => { piece.write('zz', 20, 'latin1'); return piece; })(file('a', 'x'))),
  inLayer('an unknown type', /type "V" is not supported/, tampered(file('a', ''), (block) => { block.write('V', 156, 'latin1'); })),
  inLayer('a directory with content', /no file has content/, tampered(file('a', 'x'), (block) => { block.write('5', 156, 'latin1'); })),
  inLayer('a pax record that lies about its length', /wrong length/, meta('x', '99 path=a\n'), file('a', '')),
  inLayer('a pax record of length zero', /wrong length/, meta('x', '0 path=a\n'), file('a', '')),
  inLayer('a pax header of 2 GiB', /too large/, meta('x', '', 2 ** 31), file('a', '')),
  inLayer('a long name of 2 MiB', /too large/, meta('L', Buffer.alloc(2 * 1024 * 1024, 97)), file('a', '')),
  inLayer('an attribute of 100 KiB', /attribute is too large/, meta('x', paxRecord('SCHILY.xattr.user.a', 'x'.repeat(100_000))), file('a', '')),
  rawLayer('data behind the end', /behind the end/, () => layerOf(Buffer.concat([tarOf(file('a', 'x')), file('b', 'hidden')]))),
  rawLayer('no tar at all', /wrong checksum/, () => layerOf(Buffer.alloc(2048, 65))),
  rawLayer('damaged gzip', /compressed data is damaged/, () => ((tar, packed) => { packed.fill(7, 20, 40); return layerOf(tar, packed); })(tarOf(file('a', 'x'.repeat(3000))), gzipSync(tarOf(file('a', 'abcdefgh'.repeat(300) + Math.PI))))),
  rawLayer('gzip cut short', /compressed data is damaged/, () => ((tar) => layerOf(tar, gzipSync(tar).subarray(0, 60)))(tarOf(file('a', Buffer.from(Array.from({ length: 3000 }, (_, at) => (at * at) % 251)))))),
  rawLayer('a gzip bomb', /compression bomb/, () => ((part) => layerOf(Buffer.alloc(0), Buffer.concat([gzipSync(tampered(file('a', ''), (block) => { block.write('77777777777\0', 124, 'latin1'); }).subarray(0, 512)), ...Array.from({ length: 12 }, () => part)])))(gzipSync(Buffer.alloc(32 * 1024 * 1024)))),
  rawLayer('a zstd bomb', /compression bomb/, () => ((part) => layerOf(Buffer.alloc(0), Buffer.concat([zstdCompressSync(tampered(file('a', ''), (block) => { block.write('77777777777\0', 124, 'latin1'); }).subarray(0, 512)), ...Array.from({ length: 12 }, () => part)])))(zstdCompressSync(Buffer.alloc(32 * 1024 * 1024)))),
];

const saved: readonly Hostile[] = [
  archive('a layer with another content than promised', /that the config promises/, () => savedArchive([good()], { config: configOf([other()]), configName: `${digestOf(configOf([other()])).slice(7)}.json` })),
  archive('a config with another digest than its name', /another digest than its name/, () => savedArchive([good()], { configName: `${'0'.repeat(64)}.json` })),
  archive('more layers than promised', /promises 1 layers, but its manifest has 2/, () => savedArchive([good(), other()], { config: configOf([good()]) })),
  archive('a layer outside of the archive', /leaves the root|does not hold it/, () => savedArchive([good()], { layerNames: ['../../../../etc/passwd'] })),
  archive('a config outside of the archive', /does not hold it/, () => savedArchive([good()], { config: configOf([good()]), configName: '/etc/passwd' }).subarray(0) && tarOf(file('manifest.json', JSON.stringify([{ Config: '/etc/passwd', Layers: [] }])))),
  archive('a layer that links out of the archive', /leads out of the archive/, () => savedArchive([good()], { more: [symlink('l9/layer.tar', '../../etc/passwd')] })),
  archive('a layer that links to an absolute file', /leads out of the archive/, () => savedArchive([good()], { more: [symlink('l9/layer.tar', '/etc/passwd')] })),
  archive('links in a circle', /does not hold it/, () => savedArchive([good()], { layerNames: ['x'], more: [symlink('x', 'y'), symlink('y', 'x')] })),
  archive('one file twice', /holds this file twice/, () => savedArchive([good()], { more: [file('./manifest.json', '[]')] })),
  archive('a device in the archive', /files and folders only/, () => savedArchive([good()], { more: [device('sda', 8, 0)] })),
  archive('a climbing file in the archive', /leaves the root/, () => savedArchive([good()], { more: [file('../../../etc/cron.d/x', 'x')] })),
  archive('a tag that is no reference', /no reference/, () => savedArchive([good()], { tags: ['../../x y'] })),
  archive('a config that is no JSON', /no JSON/, () => savedArchive([good()], { config: Buffer.from('{') })),
  archive('a config that is no UTF-8', /no JSON/, () => savedArchive([good()], { config: Buffer.from([0x22, 0xff, 0xfe, 0x22]) })),
  archive('a config of 5 MiB', /larger than/, () => savedArchive([good()], { config: Buffer.alloc(5 * 1024 * 1024, 32) })),
  archive('a config of another shape', /config.Cmd/, () => savedArchive([good()], { config: configOf([good()], { config: { Cmd: 'rm -rf /' } }) })),
  archive('NUL in the environment', /NUL/, () => savedArchive([good()], { config: configOf([good()], { config: { Env: ['A=\0'] } }) })),
  archive('a command of 100,000 words', /config.Cmd/, () => savedArchive([good()], { config: configOf([good()], { config: { Cmd: Array.from({ length: 100_000 }, () => 'x') } }) })),
  archive('neither index nor manifest', /holds neither/, () => tarOf(file('x', ''))),
  archive('an empty archive', /holds neither/, () => tarOf()),
  archive('an archive that is a gzip bomb', /compression bomb/, () => ((part) => Buffer.concat(Array.from({ length: 12 }, () => part)))(gzipSync(Buffer.alloc(32 * 1024 * 1024)))),
];

const layout = (change: object, layers: readonly MadeLayer[] = [good()]) => { const blobs = imageBlobs(layers, undefined, change); return layoutArchive(indexOf([descriptorOf(blobs[0] as (typeof blobs)[0])]).bytes, blobs); };

const layouts: readonly Hostile[] = [
  archive('a manifest that is an index too', /index and a manifest at once/, () => layout({ manifests: [] })),
  archive('an index that is a manifest too', /index and a manifest at once/, () => layoutArchive(indexOf([], { layers: [], config: {} }).bytes, [])),
  archive('a manifest that calls itself otherwise', /but its index calls it/, () => layout({ mediaType: 'application/vnd.docker.distribution.manifest.v2+json' })),
  archive('a manifest of the first version', /first version/, () => layout({ schemaVersion: 1, fsLayers: [] })),
  archive('a layer of an unknown kind', /no kind of layer/, () => layout({}, [{ ...good(), mediaType: 'application/vnd.oci.image.layer.v1.tar+encrypted' }])),
  archive('a blob with another content', /another digest than its name/, () => ((blobs) => layoutArchive(indexOf([descriptorOf(blobs[0] as (typeof blobs)[0])]).bytes, blobs.slice(0, -1), [file(`blobs/${digestOf(good().bytes).replace(':', '/')}`, Buffer.alloc(good().bytes.length, 1))]))(imageBlobs([good()]))),
  archive('a blob longer than its descriptor', /bytes its descriptor says/, () => ((blobs) => layoutArchive(indexOf([descriptorOf(blobs[0] as (typeof blobs)[0])]).bytes, blobs.slice(0, -1), [file(`blobs/${digestOf(good().bytes).replace(':', '/')}`, Buffer.alloc(good().bytes.length + 1, 1))]))(imageBlobs([good()]))),
  archive('a blob that is not there', /does not hold it/, () => ((blobs) => layoutArchive(indexOf([descriptorOf(blobs[0] as (typeof blobs)[0])]).bytes, blobs.slice(0, -1)))(imageBlobs([good()]))),
  archive('a digest that climbs', /no sha256 digest/, () => layoutArchive(indexOf([{ mediaType: indexType, digest: 'sha256:../../../etc/passwd', size: 1 }]).bytes, [])),
  archive('a digest of another kind', /no sha256 digest/, () => layoutArchive(indexOf([{ mediaType: indexType, digest: `md5:${'0'.repeat(32)}`, size: 1 }]).bytes, [])),
  archive('a negative size', /size/, () => layoutArchive(indexOf([{ mediaType: indexType, digest: `sha256:${'0'.repeat(64)}`, size: -1 }]).bytes, [])),
  archive('indexes ten deep', /deeper than/, () => {
    let index = indexOf([]);
    const all = [index];
    for (let at = 0; at < 10; at += 1) { index = indexOf([descriptorOf(index)], { annotations: { at: `${at}` } }); all.push(index); }
    return layoutArchive(index.bytes, all);
  }),
  archive('2000 manifests', /manifests/, () => layoutArchive(indexOf(Array.from({ length: 2000 }, () => descriptorOf(imageBlobs([good()])[0] as { bytes: Buffer; mediaType: string }))).bytes, [])),
  archive('600 layers', /layers/, () => layout({ layers: Array.from({ length: 600 }, () => descriptorOf(good())) })),
  archive('an index and a manifest.json of different images', /speak of different images/, () => ((blobs) => layoutArchive(indexOf([descriptorOf(blobs[0] as (typeof blobs)[0])]).bytes, blobs, [file('manifest.json', JSON.stringify([{ Config: `blobs/sha256/${'1'.repeat(64)}`, RepoTags: ['nginx:latest'], Layers: [] }]))]))(imageBlobs([good()]))),
];

export const hostileArchives: readonly Hostile[] = [...names, ...links, ...whiteouts, ...numbers, ...shapes, ...saved, ...layouts];
