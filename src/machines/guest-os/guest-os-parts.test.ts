/** The pure parts of building the guest OS: module order, cpio, the kernel inside a bzImage. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { runProcess, StrataError } from '#base';
import { decompressLz4 } from './decompress-lz4.ts';
import { extractKernel } from './extract-kernel.ts';
import { moduleDepends, moduleName, moduleOrder } from './module-order.ts';
import { writeCpio } from './write-cpio.ts';

test('[G90] modules load after what they depend on, each once; unknown ones are left out', () => {
  const depends = new Map([['virtio_pci', ['virtio_ring', 'virtio']], ['virtio_ring', ['virtio']], ['virtio', []], ['ext4', ['jbd2', 'built_in']], ['jbd2', []]]);
  assert.deepEqual(moduleOrder(depends, ['virtio-pci', 'ext4', 'virtio_ring', 'nowhere']), ['virtio', 'virtio_ring', 'virtio_pci', 'jbd2', 'ext4']);
  assert.equal(moduleName('kernel/drivers/virtio/virtio-pci.ko.xz'), 'virtio_pci');
  assert.deepEqual(moduleDepends(Buffer.from('x\0license=GPL\0depends=crc-t10dif,scsi_mod\0name=sd')), ['crc_t10dif', 'scsi_mod']);
  assert.deepEqual(moduleDepends(Buffer.from('x\0depends=\0')), []);
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(9), fc.nat(9)), { maxLength: 20 }), (edges) => {
    const graph = new Map<string, string[]>(Array.from({ length: 10 }, (_, at) => [`m${at}`, []]));
    for (const [a, b] of edges) if (a > b) graph.get(`m${a}`)?.push(`m${b}`);
    const order = moduleOrder(graph, [...graph.keys()].reverse());
    assert.equal(new Set(order).size, 10);
    for (const [name, wanted] of graph) for (const one of wanted) assert.ok(order.indexOf(one) < order.indexOf(name));
  }));
});

test('[G91] an initramfs is unpacked by busybox as written, with its parents, and its bytes never differ', async () => {
  const entries = [
    { path: 'a/b/file', kind: 'file' as const, content: Buffer.from('hello'), mode: 0o640 }, { path: 'a/link', kind: 'link' as const, target: 'b/file' }, { path: 'empty', kind: 'folder' as const },
  ];
  const archive = writeCpio(entries);
  assert.ok(archive.equals(writeCpio([...entries].reverse())));
  const folder = await mkdtemp(join(tmpdir(), 'cpio-'));
  try {
    await runProcess(['busybox', 'cpio', '-idm'], { cwd: folder, input: archive });
    assert.equal(await readFile(join(folder, 'a/link'), 'utf8'), 'hello');
    assert.equal((await runProcess(['stat', '-c', '%a', join(folder, 'a/b/file')])).stdout, '640\n');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('[G93] the kernel inside a bzImage is found and unpacked; an Arm64 Image stays as it is; anything else is refused', () => {
  const kernel = Buffer.concat([Buffer.from('\x7fELF'), Buffer.alloc(5000, 7)]);
  const image = (payload: Buffer) => {
    const head = Buffer.alloc(2048);
    head.writeUInt8(1, 0x1f1);
    head.write('HdrS', 0x202, 'latin1');
    head.writeUInt32LE(16, 0x248);
    head.writeUInt32LE(payload.length, 0x24c);
    return Buffer.concat([head.subarray(0, 1024 + 16), payload]);
  };
  assert.ok(extractKernel(image(gzipSync(kernel))).equals(kernel));
  const arm = Buffer.alloc(100);
  arm.write('ARMd', 56, 'latin1');
  assert.equal(extractKernel(arm), arm);
  for (const bad of [Buffer.alloc(2000), image(gzipSync(Buffer.from('not a kernel'))), image(Buffer.from('what is this, please'))]) {
    assert.throws(() => extractKernel(bad), (error) => error instanceof StrataError && error.code === 'guestOs.kernelFormat');
  }
});

test('[G93] LZ4 as the kernel is packed with: literals, near and far matches; broken data is refused', () => {
  const size = (value: number) => { const bytes = Buffer.alloc(4); bytes.writeUInt32LE(value); return bytes; };
  const legacy = (...blocks: Buffer[]) => Buffer.concat([Buffer.from('02214c18', 'hex'), ...blocks.flatMap((block) => [size(block.length), block])]);
  // 3 literals, then a match of 4+15+1 bytes at distance 3 (overlapping itself), then 1 literal.
  const block = Buffer.concat([Buffer.from([0x3f]), Buffer.from('abc'), Buffer.from([3, 0, 1, 0x10]), Buffer.from('!')]);
  const text = `${'abc'.repeat(8).slice(0, 23)}!`;
  assert.equal(decompressLz4(legacy(block), text.length).toString(), text);
  for (const bad of [Buffer.from('00000000', 'hex'), legacy(Buffer.from([0x1f, 0x61, 9, 0])), legacy(Buffer.from([0xf0, 255]))]) assert.throws(() => decompressLz4(bad, 100), StrataError);
});

