/** Refuses what the conformance table says is refused: at its place, with the reason and what to do instead. */
import { isDeepStrictEqual } from 'node:util';
import type { Report } from './report.ts';
import { conformance } from './conformance/table.ts';
import { dotted } from './schema/check-tree.ts';
import { plain, type MapNode, type TreeNode, type TreePath, type TreePlace } from './yaml/tree.ts';

const refused = conformance.filter((row) => row.state === 'refused').map((row) => ({ row, steps: row.key.split('.') }));

/** @param idle services that are not wanted now: what they ask for is nobody's concern */
export function refuseKeys(tree: MapNode, idle: ReadonlySet<string>, report: Report): void {
  for (const { row, steps } of refused) {
    for (const { key, value, path } of matches(tree, steps, [])) {
      if (path[0] === 'services' && idle.has(String(path[1]))) continue;
      const written = plain(value);
      if (row.harmless.some((one) => isDeepStrictEqual(one, written))) continue;
      report.error(key, 'compose.refused', `${dotted(path)} is refused: ${row.note}`, row.advice);
    }
  }
}

interface Match { readonly key: TreePlace; readonly value: TreeNode; readonly path: TreePath }

function matches(node: TreeNode, [step, ...rest]: readonly string[], path: TreePath): Match[] {
  if (step === undefined) return [];
  const found: Match[] = node.kind === 'map'
    ? [...node.entries].filter(([name]) => step === '*' || step === name).map(([name, { key, value }]) => ({ key, value, path: [...path, name] }))
    : node.kind === 'list' && step === '[]' ? node.items.map((value, index) => ({ key: value.place, value, path: [...path, index] })) : [];
  return rest.length === 0 ? found : found.flatMap((match) => matches(match.value, rest, match.path));
}
