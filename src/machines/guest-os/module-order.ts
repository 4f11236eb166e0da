/** Which kernel modules to carry and in which order to load them, from what each module says it depends on. Pure. */

/** Names a module's file says it depends on (`depends=` of its .modinfo section); no depmod needed. */
export function moduleDepends(file: Buffer): string[] {
  const mark = Buffer.from('\0depends=');
  const at = file.indexOf(mark);
  if (at < 0) return [];
  const start = at + mark.length;
  const text = file.toString('latin1', start, file.indexOf(0, start));
  return text === '' ? [] : text.split(',').map(plainName);
}

/**
 * @param depends module name → names it depends on; modules that the kernel has built in are not in it
 * @returns names in load order, dependencies first, each once; unknown names are left out
 */
export function moduleOrder(depends: ReadonlyMap<string, readonly string[]>, wanted: readonly string[]): string[] {
  const order: string[] = [];
  const seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    const first = depends.get(name);
    if (first === undefined) return;
    for (const dependency of first) visit(dependency);
    order.push(name);
  };
  for (const name of wanted) visit(plainName(name));
  return order;
}

/** `kernel/drivers/virtio/virtio_pci.ko.xz` → `virtio_pci`. */
export function moduleName(path: string): string {
  return plainName((path.split('/').pop() ?? '').replace(/\.ko(\.\w+)?$/, ''));
}

function plainName(name: string): string {
  return name.replaceAll('-', '_');
}
