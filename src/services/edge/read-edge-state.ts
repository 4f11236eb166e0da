/**
 * Checks by hand that a value is an EdgeState: the edge is kept small, and the schema's library alone would cost it a
 * tenth of its memory. The daemon's side checks with the schema; a property test holds both in step.
 */
import { isIP, isIPv4 } from 'node:net';
import type { EdgeState } from './edge-state.ts';

/** @throws Error that names the field */
export function readEdgeState(value: unknown): EdgeState {
  const fields = closedRecord(value, 'state', ['gateway', 'names', 'domains', 'parking', 'datagrams', 'upstream']);
  for (const [name, addresses] of Object.entries(record(fields['names'], 'names'))) for (const one of list(addresses, `names.${name}`)) address(one, `names.${name}`);
  for (const [asker, domain] of Object.entries(record(fields['domains'], 'domains'))) text(domain, `domains.${asker}`);
  for (const upstream of list(fields['upstream'], 'upstream')) text(upstream, 'upstream');
  address(fields['gateway'], 'gateway');
  list(fields['parking'], 'parking').forEach((place, index) => checkPlace(place, `parking.${index}`));
  if (fields['datagrams'] !== undefined) list(fields['datagrams'], 'datagrams').forEach((place, index) => checkDatagrams(place, `datagrams.${index}`));
  return value as EdgeState;
}

function checkPlace(value: unknown, where: string): void {
  const place = closedRecord(value, where, ['id', 'port', 'ready', 'limit', 'timeoutMs', 'mode']);
  text(place['id'], `${where}.id`);
  port(place['port'], `${where}.port`);
  integer(place['limit'], `${where}.limit`);
  integer(place['timeoutMs'], `${where}.timeoutMs`);
  if (place['mode'] !== 'http' && place['mode'] !== 'tcp') wrong(`${where}.mode`);
  checkTargets(place['ready'], `${where}.ready`);
}

function checkDatagrams(value: unknown, where: string): void {
  const place = closedRecord(value, where, ['id', 'address', 'port', 'ready', 'limit', 'idleMs']);
  text(place['id'], `${where}.id`);
  if (typeof place['address'] !== 'string' || isIP(place['address']) === 0) wrong(`${where}.address`);
  port(place['port'], `${where}.port`);
  integer(place['limit'], `${where}.limit`);
  integer(place['idleMs'], `${where}.idleMs`);
  checkTargets(place['ready'], `${where}.ready`);
}

function checkTargets(value: unknown, where: string): void {
  for (const target of list(value, where)) {
    const fields = closedRecord(target, where, ['address', 'port']);
    address(fields['address'], `${where}.address`);
    port(fields['port'], `${where}.port`);
  }
}

function wrong(where: string): never {
  throw new Error(`edge state: ${where} is not as it must be`);
}

function record(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) wrong(where);
  return value as Record<string, unknown>;
}

function closedRecord(value: unknown, where: string, keys: readonly string[]): Record<string, unknown> {
  const fields = record(value, where);
  for (const key of Object.keys(fields)) if (!keys.includes(key)) wrong(`${where}.${key}`);
  return fields;
}

function list(value: unknown, where: string): readonly unknown[] {
  return Array.isArray(value) ? value : wrong(where);
}

function text(value: unknown, where: string): void {
  if (typeof value !== 'string' || value.length > 255) wrong(where);
}

function address(value: unknown, where: string): void {
  if (typeof value !== 'string' || !isIPv4(value)) wrong(where);
}

function integer(value: unknown, where: string): void {
  if (!Number.isSafeInteger(value) || (value as number) < 0) wrong(where);
}

function port(value: unknown, where: string): void {
  if (!Number.isSafeInteger(value) || (value as number) < 1 || (value as number) > 65_535) wrong(where);
}
