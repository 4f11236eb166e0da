/** The conformance table: one row for each key that a Compose file may have. docs/compose.md is made from it. */
import { refusedRows } from './refused-rows.ts';
import type { ConformanceRow } from './row.ts';
import { serviceRows } from './service-rows.ts';
import { topRows } from './top-rows.ts';

export const conformance: readonly ConformanceRow[] = [...topRows, ...serviceRows, ...refusedRows];
