/** Reads the wanted kernel modules and all they depend on from an unpacked kernel package. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProcess } from '#base';
import { moduleDepends, moduleName, moduleOrder } from './module-order.ts';

export interface KernelModules {
  /** Names in load order for each list asked for; what stands in an earlier list is not repeated. */
  readonly lists: readonly (readonly string[])[];
  readonly files: ReadonlyMap<string, Buffer>;
}

/**
 * @param folder `lib/modules/<release>` of the package
 * @param objcopy of the modules' architecture
 */
export async function readModules(folder: string, lists: readonly (readonly string[])[], objcopy: string): Promise<KernelModules> {
  const paths = new Map<string, string>();
  for (const entry of (await readdir(folder, { recursive: true })).sort()) if (/\.ko(\.xz)?$/.test(entry)) paths.set(moduleName(entry), join(folder, entry));
  const files = new Map<string, Buffer>();
  const depends = new Map<string, readonly string[]>();
  const open = lists.flat().map(moduleName);
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const path = paths.get(name);
    if (path === undefined || files.has(name)) continue; // built into this kernel, or read already
    const bytes = await moduleBytes(path, objcopy);
    files.set(name, bytes);
    depends.set(name, moduleDepends(bytes));
    open.push(...moduleDepends(bytes));
  }
  const placed = new Set<string>();
  const ordered = lists.map((list) => moduleOrder(depends, list).filter((name) => !placed.has(name) && placed.add(name)));
  return { lists: ordered, files };
}

/**
 * Without type information, and so without the signature behind it: the kernel would check it and parse the types,
 * 10–20 ms a module under emulation. Uncompressed, because unpacking costs more than reading.
 */
async function moduleBytes(path: string, objcopy: string): Promise<Buffer> {
  let plain = path;
  if (path.endsWith('.xz')) {
    await runProcess(['xz', '--decompress', '--keep', '--force', '--', path], { timeoutMs: 60_000 });
    plain = path.slice(0, -'.xz'.length);
  }
  const stripped = `${plain}.stripped`;
  await runProcess([objcopy, '--strip-debug', '--remove-section=.BTF', '--remove-section=.note.gnu.build-id', plain, stripped], { timeoutMs: 60_000 });
  return readFile(stripped);
}
