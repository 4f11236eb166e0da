/** Puts variables into every text of a tree (values, never keys), and reports what could not be. */
import type { Report } from '../report.ts';
import { interpolate, type InterpolationProblem, type Lookup } from './interpolate.ts';
import { list, map, scalar, type MapEntry, type TreeNode } from './tree.ts';

/** How much text variables may still grow to: one of 1 MiB put in ten thousand places would be the end of the daemon. */
export interface TextBudget { left: number }

export const textBudget = (): TextBudget => ({ left: 16 * 1024 * 1024 });

export function interpolateTree(node: TreeNode, lookup: Lookup, report: Report, budget: TextBudget): TreeNode {
  if (node.kind === 'list') return list(node.items.map((item) => interpolateTree(item, lookup, report, budget)), node.place, node.tag);
  if (node.kind === 'map') {
    return map(new Map([...node.entries].map(([key, entry]): [string, MapEntry] => [key, { key: entry.key, value: interpolateTree(entry.value, lookup, report, budget) }])), node.place, node.tag);
  }
  if (typeof node.value !== 'string' || !node.value.includes('$')) return node;
  if (budget.left <= 0) return { ...node, value: '', broken: true };
  const { text, problems } = interpolate(node.value, lookup);
  budget.left -= text.length;
  if (budget.left <= 0) report.error(node.place, 'compose.tooLarge', 'the variables of the project hold more text than is read');
  for (const problem of problems) reportProblem(problem, node, report);
  const tagged = node.tag === undefined ? {} : { tag: node.tag };
  return { ...scalar(text, node.place), ...tagged, ...(problems.some((problem) => problem.kind !== 'unset') ? { broken: true as const } : {}) };
}

function reportProblem(problem: InterpolationProblem, { place }: TreeNode, report: Report): void {
  if (problem.kind === 'unset') {
    report.warn(place, 'compose.unsetVariable', `the variable ${problem.name} is not set; nothing is put in its place`, `set it, or give a default: \${${problem.name}:-value}`);
  } else if (problem.kind === 'required') {
    const why = problem.why === '' ? '' : `: ${problem.why}`;
    report.error(place, 'compose.missingVariable', `the variable ${problem.name} is ${problem.empty ? 'empty' : 'not set'}${why}`, `set ${problem.name} in the environment or in .env`);
  } else {
    report.error(place, 'compose.badVariable', `cannot be read as a variable: ${problem.text}`, 'write $$ where a dollar sign is meant');
  }
}
