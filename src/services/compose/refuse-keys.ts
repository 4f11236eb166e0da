import type { Report } from './report.ts';
import type { MapNode } from './yaml/tree.ts';

export function refuseKeys(_tree: MapNode, _report: Report): void {}
