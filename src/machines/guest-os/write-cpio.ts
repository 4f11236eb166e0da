/** An initramfs archive in the newc format (kernel documentation, driver-api/early-userspace/buffer-format), byte for byte repeatable. Pure. */
export type CpioEntry =
  | { readonly path: string; readonly kind: 'folder' }
  | { readonly path: string; readonly kind: 'file'; readonly content: Buffer; readonly mode: number }
  | { readonly path: string; readonly kind: 'link'; readonly target: string };

const modes = { folder: 0o040755, link: 0o120777 };

/** Entries are sorted; parents are made where missing. Times are 0. */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const all = new Map<string, CpioEntry>();
  for (const entry of entries) {
    const parts = entry.path.split('/');
    for (let depth = 1; depth < parts.length; depth += 1) {
      const parent = parts.slice(0, depth).join('/');
      if (!all.has(parent)) all.set(parent, { path: parent, kind: 'folder' });
    }
    all.set(entry.path, entry);
  }
  const sorted = [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  const pieces = sorted.flatMap((entry, index) => member(entry, index + 1));
  return Buffer.concat([...pieces, ...member({ path: 'TRAILER!!!', kind: 'file', content: Buffer.alloc(0), mode: 0 }, 0)]);
}

function member(entry: CpioEntry, inode: number): Buffer[] {
  const content = entry.kind === 'file' ? entry.content : entry.kind === 'link' ? Buffer.from(entry.target) : Buffer.alloc(0);
  const mode = entry.kind === 'file' ? (entry.mode === 0 ? 0 : 0o100000 | entry.mode) : modes[entry.kind];
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, Buffer.byteLength(entry.path) + 1, 0];
  const header = Buffer.from(`070701${fields.map((value) => value.toString(16).padStart(8, '0')).join('')}${entry.path}\0`);
  return [header, padding(header.length), content, padding(content.length)];
}

function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}
