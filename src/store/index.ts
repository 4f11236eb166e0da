/** Door of the store layer: revisioned records, transactions with compare, watch; typed access to them. */
export type { Change, Compare, Entry, Key, Store, TransactionResult, Write } from './store.ts';
export { recordsOf, type RecordChange, type RecordEntry, type Records, type WriteCondition } from './records.ts';
export { maxTransactionParts, maxValueBytes } from './check-transaction.ts';
