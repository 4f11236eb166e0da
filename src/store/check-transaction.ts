/**
 * What every driver refuses before it touches anything: keys out of form, values that are not JSON, too
 * much at once. Pure, so that all drivers refuse the same things with the same words.
 */
import { StrataError } from '#base';
import type { Compare, Write } from './store.ts';

/** Bytes of JSON one record may have; a record is a wish or an observation, not a file. */
export const maxValueBytes = 1024 * 1024;
/** Writes and compares in one transaction. */
export const maxTransactionParts = 512;
const keyForm = /^[a-z][a-z0-9-]*\/[\x21-\x7e]+$/;

/** A write as drivers store it: the value as JSON text, undefined for a deletion. */
export interface CheckedWrite { readonly key: string; readonly json: string | undefined }

/** @throws StrataError `store.badKey`: not `kind/id`, longer than 512, or other than printable ASCII. */
export function checkKey(key: string): void {
  if (typeof key === 'string' && key.length <= 512 && keyForm.test(key)) return;
  throw new StrataError(`'${String(key).slice(0, 80)}' is no key of a record`, { code: 'store.badKey', kind: 'invalid', advice: 'a key is kind, slash, id: printable ASCII without spaces, at most 512 characters' });
}

/** @throws StrataError `store.badKey`, `store.badValue`, `store.tooLarge`, `store.duplicateKey` */
export function checkTransaction(transaction: { readonly compare?: readonly Compare[]; readonly writes: readonly Write[] }): CheckedWrite[] {
  const compare = transaction.compare ?? [];
  if (compare.length > maxTransactionParts || transaction.writes.length > maxTransactionParts) {
    throw new StrataError(`a transaction has at most ${maxTransactionParts} writes and compares`, { code: 'store.tooLarge', kind: 'invalid' });
  }
  for (const one of compare) checkKey(one.key);
  const seen = new Set<string>();
  return transaction.writes.map((write) => {
    const key = 'put' in write ? write.put : write.delete;
    checkKey(key);
    if (seen.has(key)) throw new StrataError(`key ${key} is written twice in one transaction`, { code: 'store.duplicateKey', kind: 'invalid' });
    seen.add(key);
    return { key, json: 'put' in write ? jsonOf(key, write.value) : undefined };
  });
}

function jsonOf(key: string, value: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch (cause) {
    throw new StrataError(`the value of ${key} cannot be kept as JSON`, { code: 'store.badValue', kind: 'invalid', cause });
  }
  if (json === undefined) throw new StrataError(`the value of ${key} is not a JSON value`, { code: 'store.badValue', kind: 'invalid' });
  if (json.length > maxValueBytes || Buffer.byteLength(json) > maxValueBytes) {
    throw new StrataError(`the value of ${key} has more than ${maxValueBytes} bytes`, { code: 'store.tooLarge', kind: 'invalid', details: { key, bytes: json.length } });
  }
  return json;
}
