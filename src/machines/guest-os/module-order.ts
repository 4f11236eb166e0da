/** Which kernel modules to carry and in which order to load them, from the kernel's own modules.dep. Pure. */

/**
 * @param dep text of modules.dep: `path: dependency paths…`
 * @param wanted module names, with - or _
 * @returns paths in load order, dependencies first; names that the kernel has built in (or lacks) are left out
 */
export function moduleOrder(dep: string, wanted: readonly string[]): string[] {
  const lines = new Map<string, readonly string[]>();
  const pathOf = new Map<string, string>();
  for (const line of dep.split('\n')) {
    const [path, rest = ''] = line.split(':');
    if (path === undefined || path === '') continue;
    lines.set(path, rest.trim() === '' ? [] : rest.trim().split(/\s+/));
    pathOf.set(moduleName(path), path);
  }
  const order: string[] = [];
  const seen = new Set<string>();
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const dependency of [...(lines.get(path) ?? [])].reverse()) visit(dependency);
    order.push(path);
  };
  for (const name of wanted) {
    const path = pathOf.get(name.replaceAll('-', '_'));
    if (path !== undefined) visit(path);
  }
  return order;
}

/** `kernel/drivers/virtio/virtio_pci.ko.xz` → `virtio_pci`. */
export function moduleName(path: string): string {
  return (path.split('/').pop() ?? '').replace(/\.ko(\.\w+)?$/, '').replaceAll('-', '_');
}
