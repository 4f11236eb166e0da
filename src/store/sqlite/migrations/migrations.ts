/**
 * The schema's history. The number of a migration is its place in this list, from 1; a published one
 * never changes, a new one is added at the end.
 */
import { records } from './001-records.ts';

export const migrations: readonly string[] = [records];
