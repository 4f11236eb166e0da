/** The flattener against a simple model: layers unpacked one over the other, in memory. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readTar } from '../tar/read-tar.ts';
import { device, file, folder, hardlink, symlink, tarOf, type Piece } from '../testing/make-tar.ts';
import { indexLayers } from './index-layers.ts';
import { flattenLimits, type FlattenLimits, type Layer } from './layer.ts';
import { streamMerged } from './stream-merged.ts';

const layer = (name: string, pieces: readonly Piece[], followLinks = false): Layer => ({ name, followLinks, items: () => readTar(one(tarOf(...pieces))) });
async function* one(bytes: Buffer): AsyncGenerator<Buffer> { yield bytes; }

async function flatten(layers: readonly Layer[], limits: FlattenLimits = flattenLimits): Promise<Map<string, string>> {
  const root = await indexLayers('test', layers, limits);
  const tree = new Map<string, string>();
  for await (const { entry, content } of readTar(streamMerged('test', layers, root))) {
    const parts: Buffer[] = [];
    for await (const part of content()) parts.push(part);
    if (tree.has(entry.path)) throw new Error(`${entry.path} comes twice`);
    const same = entry.type === 'hardlink' ? tree.get(entry.linkTarget) as string : `${entry.type} ${entry.mode.toString(8)} ${entry.linkTarget}${Buffer.concat(parts).toString()}`;
    tree.set(entry.path, same);
  }
  return new Map([...tree].sort(([a], [b]) => (a < b ? -1 : 1)));
}

type Step =
  | { readonly kind: 'file'; readonly path: string; readonly text: string }
  | { readonly kind: 'folder'; readonly path: string; readonly mode: number }
  | { readonly kind: 'link'; readonly path: string; readonly to: string }
  | { readonly kind: 'hard'; readonly path: string; readonly to: string }
  | { readonly kind: 'gone'; readonly path: string }
  | { readonly kind: 'opaque'; readonly path: string };

const segment = fc.constantFrom('a', 'b', 'c');
const path = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('file' as const), path, text: fc.string({ maxLength: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('folder' as const), path, mode: fc.constantFrom(0o700, 0o755) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('link' as const), path, to: path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('hard' as const), path, to: path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('gone' as const), path }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('opaque' as const), path }) },
);

const whiteoutPath = (at: string): string => at.replace(/([^/]+)$/, '.wh.$1');
function pieceOf(what: Step): Piece {
  switch (what.kind) {
    case 'file': return file(what.path, what.text);
    case 'folder': return folder(what.path, { mode: what.mode });
    case 'link': return symlink(what.path, what.to);
    case 'hard': return hardlink(what.path, what.to);
    case 'gone': return file(whiteoutPath(what.path));
    case 'opaque': return file(`${what.path}/.wh..wh..opq`);
  }
}

/** A file system as a flat list of names. Returns undefined where the flattener must refuse. */
function model(layers: readonly (readonly Step[])[]): Map<string, string> | undefined {
  const tree = new Map<string, string>();
  const isFolder = (at: string) => at === '' || tree.get(at)?.startsWith('directory') === true;
  const below = (at: string) => [...tree.keys()].filter((key) => key.startsWith(`${at}/`));
  const parents = (at: string) => at.split('/').slice(0, -1).map((_, index, parts) => parts.slice(0, index + 1).join('/'));
  const clear = (at: string) => { for (const key of [at, ...below(at)]) tree.delete(key); };
  for (const steps of layers) {
    for (const what of steps) {
      if (what.kind !== 'gone' && what.kind !== 'opaque') continue;
      const way = what.kind === 'opaque' ? [...parents(what.path), what.path] : parents(what.path);
      if (way.some((at) => tree.get(at)?.startsWith('symlink') === true)) return undefined;
      if (what.kind === 'gone') clear(what.path);
      else for (const key of below(what.path)) tree.delete(key);
    }
    for (const what of steps) {
      if (what.kind === 'gone' || what.kind === 'opaque') continue;
      for (const at of parents(what.path)) {
        if (!tree.has(at)) tree.set(at, 'directory 755 ');
        else if (!isFolder(at)) return undefined;
      }
      if (what.kind === 'folder') {
        if (!isFolder(what.path)) clear(what.path);
        tree.set(what.path, `directory ${what.mode.toString(8)} `);
        continue;
      }
      const target = what.kind === 'hard' ? tree.get(what.to) : undefined;
      if (what.kind === 'hard' && (target === undefined || target.startsWith('directory'))) return undefined;
      clear(what.path);
      tree.set(what.path, what.kind === 'file' ? `file 644 ${what.text}` : what.kind === 'link' ? `symlink 777 ${what.to}` : target as string);
    }
  }
  return new Map([...tree].sort(([a], [b]) => (a < b ? -1 : 1)));
}

test('[I3] random layers give the tree of a naive unpacking, or are refused by both', async () => {
  let kept = 0;
  await fc.assert(fc.asyncProperty(fc.array(fc.array(step, { maxLength: 6 }), { minLength: 1, maxLength: 4 }), async (layers) => {
    const expected = model(layers);
    const flattened = flatten(layers.map((steps, at) => layer(`layer ${at}`, steps.map(pieceOf))));
    if (expected === undefined) { await rejects(flattened, { code: 'image.refused' }); return; }
    kept += 1;
    deepEqual(await flattened, expected);
  }), { numRuns: 800 });
  equal(kept > 100, true, `only ${kept} runs were not refusals`);
});

test('[I3] a whiteout speaks of lower layers only, wherever it stands in its own', async () => {
  const lower = layer('1', [file('d/old', '1'), file('gone', '1')]);
  deepEqual([...(await flatten([lower, layer('2', [file('d/new', '2'), file('d/.wh..wh..opq'), file('.wh.gone'), file('gone', '2')])])).keys()], ['d', 'd/new', 'gone']);
  deepEqual([...(await flatten([lower, layer('2', [file('.wh.gone'), file('d/.wh.old')])])).keys()], ['d']);
});

test('[I4] hard links share one file, also when its first name is replaced', async () => {
  const layers = [layer('1', [file('a', 'same'), hardlink('b', 'a'), hardlink('c', './b')]), layer('2', [file('a', 'new')])];
  const types: string[] = [];
  const root = await indexLayers('test', layers, flattenLimits);
  for await (const { entry } of readTar(streamMerged('test', layers, root))) types.push(`${entry.path} ${entry.type} ${entry.linkTarget}`);
  deepEqual(types, ['b file ', 'c hardlink b', 'a file ']);
});

test('[I4] devices, owners, modes, times and attributes are kept', async () => {
  const xattrs = new Map([['user.note', Buffer.from([0, 255, 10])], ['security.capability', Buffer.from('0100000200040000', 'hex')], ['trusted.overlay.redirect', Buffer.from('/etc')], ['security.selinux', Buffer.from('x')]]);
  const layers = [layer('1', [device('null', 1, 3), file('s', 'x', { mode: 0o4755, uid: 1000, gid: 1001, mtime: 1_700_000_000, xattrs })])];
  const seen = [];
  for await (const { entry } of readTar(streamMerged('test', layers, await indexLayers('test', layers, flattenLimits)))) seen.push(entry);
  deepEqual([seen[0]?.deviceMajor, seen[0]?.deviceMinor], [1, 3]);
  deepEqual([seen[1]?.mode, seen[1]?.uid, seen[1]?.gid, seen[1]?.mtime], [0o4755, 1000, 1001, 1_700_000_000]);
  deepEqual([...(seen[1]?.xattrs ?? [])].map(([name, value]) => [name, value.toString('hex')]), [['user.note', '00ff0a'], ['security.capability', '0100000200040000']]);
});

test('[I5] our own layers may write through links, inside the root', async () => {
  const merged = [folder('usr/lib'), symlink('lib', 'usr/lib'), symlink('out', '../../../etc'), symlink('loop', 'loop')];
  const tree = await flatten([layer('1', merged, true), layer('2', [folder('lib', { mode: 0o755 }), file('lib/x', '1'), file('out/y', '2'), hardlink('lib/z', 'lib/x')], true)]);
  deepEqual([...tree.keys()], ['etc', 'etc/y', 'lib', 'loop', 'out', 'usr', 'usr/lib', 'usr/lib/x', 'usr/lib/z']);
  await rejects(flatten([layer('1', merged, true), layer('2', [file('loop/x')], true)]), /too many symlinks/);
});

test('[I6] entries, bytes and names are bounded', async () => {
  const many = [layer('1', Array.from({ length: 50 }, (_, at) => file(`f${at}`, 'xx')))];
  await rejects(flatten(many, { ...flattenLimits, maxEntries: 49 }), /more than 49 entries/);
  await rejects(flatten(many, { ...flattenLimits, maxBytes: 99 }), /more than 99 bytes/);
  await rejects(flatten(many, { ...flattenLimits, maxMetaBytes: 60 }), /more than 60 bytes/);
  equal((await flatten(many, { maxEntries: 50, maxBytes: 100, maxMetaBytes: 200 })).size, 50);
});
