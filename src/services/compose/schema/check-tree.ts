/** Holds a tree against a schema, and says each thing that is wrong at its place, with what was likely meant. */
import type { z } from 'zod';
import type { Report } from '../report.ts';
import { nearestName } from '../values/nearest-name.ts';
import { keyPlace, nearest, plain, type TreeNode, type TreePath } from '../yaml/tree.ts';
import { describeExpected, keysAt } from './describe-schema.ts';

type Issue = z.core.$ZodIssue;

/** The checked value; undefined where something was wrong and has been reported. */
export function checkTree<T>(schema: z.ZodType<T>, tree: TreeNode, report: Report, under: TreePath = []): T | undefined {
  const result = schema.safeParse(plain(tree));
  if (result.success) return result.data;
  for (const issue of result.error.issues) reportIssue(issue, [], { schema, tree, report, under });
  return undefined;
}

interface Context { readonly schema: z.ZodType; readonly tree: TreeNode; readonly report: Report; readonly under: TreePath }

function reportIssue(issue: Issue, above: TreePath, context: Context): void {
  const path = [...above, ...(issue.path as (string | number)[])];
  if (issue.code === 'unrecognized_keys') for (const key of issue.keys) reportUnknown(key, path, context);
  else if (issue.code === 'invalid_union') reportUnion(issue, path, context);
  else if (issue.code === 'invalid_key') reportBadName(path, context);
  else reportValue(issue, path, context);
}

function reportUnknown(key: string, path: TreePath, { schema, tree, report, under }: Context): void {
  const known = keysAt(schema, path);
  const near = nearestName(key, known);
  const where = dotted([...under, ...path]);
  const advice = near !== undefined ? `did you mean ${near}?` : known.length === 0 ? '' : known.length <= 12 ? `known: ${known.join(', ')}` : 'docs/compose.md lists all keys';
  report.error(keyPlace(tree, [...path, key]), 'compose.unknownKey', `unknown key ${key}${where === '' ? '' : ` in ${where}`}`, key.startsWith('x-strata') && near === undefined ? 'x-strata has no meaning here; see docs/compose.md' : advice);
}

/** Of the forms a value may have, the one it resembles speaks: the others only say that it has another shape. */
function reportUnion(issue: Extract<Issue, { code: 'invalid_union' }>, path: TreePath, context: Context): void {
  const resembling = issue.errors.filter((issues) => !issues.some((one) => one.path.length === 0 && one.code === 'invalid_type'));
  const [best] = resembling.toSorted((a, b) => a.length - b.length);
  if (best === undefined || best.length === 0) reportValue(issue, path, context);
  else for (const one of best) reportIssue(one, path, context);
}

function reportBadName(path: TreePath, { tree, report, under }: Context): void {
  const name = String(path.at(-1));
  report.error(keyPlace(tree, path), 'compose.badName', `${dotted([...under, ...path.slice(0, -1)])}: the name ${name} is not allowed`, 'use letters, digits, ., _ and -');
}

function reportValue(issue: Issue, path: TreePath, { schema, tree, report, under }: Context): void {
  const node = nearest(tree, path);
  if (node.kind === 'scalar' && node.broken === true) return;
  const where = dotted([...under, ...path]);
  const missing = nearest(tree, path.slice(0, -1)) === node && path.length > 0 && node.kind === 'map' && !node.entries.has(String(path.at(-1)));
  if (missing) report.error(node.place, 'compose.missingKey', `${dotted([...under, ...path.slice(0, -1)])} lacks ${String(path.at(-1))}`, `add ${String(path.at(-1))}`);
  else report.error(node.place, 'compose.wrongType', `${where === '' ? 'the file' : where} must be ${describeExpected(schema, path)}, not ${describeNode(node)}`, adviceFor(schema, path, node));
}

function adviceFor(schema: z.ZodType, path: TreePath, node: TreeNode): string {
  const wantsText = describeExpected(schema, path).startsWith('text');
  return wantsText && node.kind === 'scalar' && node.value !== null && typeof node.value !== 'string' ? `put it in quotes: "${String(node.value)}"` : '';
}

function describeNode(node: TreeNode): string {
  if (node.kind === 'map') return 'a mapping';
  if (node.kind === 'list') return 'a list';
  if (node.value === null) return 'empty';
  if (typeof node.value === 'string') return node.value === '' ? 'an empty text' : `the text ${JSON.stringify(node.value.length > 40 ? `${node.value.slice(0, 37)}...` : node.value)}`;
  return `the ${typeof node.value} ${String(node.value)}`;
}

export const dotted = (path: TreePath): string => path.reduce<string>((text, step) => (typeof step === 'number' ? `${text}[${step}]` : text === '' ? step : `${text}.${step}`), '');
