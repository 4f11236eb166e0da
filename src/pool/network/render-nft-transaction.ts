/**
 * One transaction that takes the tables from what they hold to what they should: only elements that differ, or
 * everything where the chains themselves are others or not there. Pure.
 */
import type { Instance } from '#base';
import { tableName } from './interface-names.ts';
import type { NftElements } from './list-nft-elements.ts';
import type { NftCommand } from './nft-expressions.ts';
import { nftSets, renderNftRules } from './render-nft-rules.ts';

/** What stands for rules and state; kept in the table as names of counters, so that a later daemon knows what is loaded. */
export interface NftStamps { readonly rules: string; readonly state: string }

export interface LoadedTable {
  readonly stamps: NftStamps;
  /** Undefined where another daemon filled the sets. */
  readonly elements: NftElements | undefined;
}

/** Text for `nft -j -f`, or undefined where nothing differs. */
export function renderNftTransaction(instance: Instance, wished: { readonly stamps: NftStamps; readonly elements: NftElements }, loaded: LoadedTable | undefined): string | undefined {
  const same = loaded?.stamps.rules === wished.stamps.rules;
  if (same && loaded.stamps.state === wished.stamps.state) return undefined;
  const commands: NftCommand[] = same ? [] : [...renderNftRules(instance)];
  for (const { family, name, map } of nftSets) {
    const key = `${family} ${name}`;
    const target = { family, table: tableName(instance), name };
    const before = new Map((same ? loaded.elements?.get(key) ?? [] : []).map((element) => [JSON.stringify(element), element]));
    const after = new Map((wished.elements.get(key) ?? []).map((element) => [JSON.stringify(element), element]));
    if (same && loaded.elements === undefined) commands.push({ flush: map === undefined ? { set: target } : { map: target } }); // a map is not found as a set
    addElements(commands, 'delete', target, [...before].flatMap(([text, element]) => (after.has(text) ? [] : [element])));
    addElements(commands, 'add', target, [...after].flatMap(([text, element]) => (before.has(text) ? [] : [element])));
  }
  const counter = (name: string) => ({ counter: { family: 'inet', table: tableName(instance), name } });
  if (same) commands.push({ delete: counter(`state_${loaded.stamps.state}`) });
  else commands.push({ add: counter(`rules_${wished.stamps.rules}`) });
  commands.push({ add: counter(`state_${wished.stamps.state}`) });
  return JSON.stringify({ nftables: commands });
}

/** Removal of both tables, also where they are not there. */
export function renderNftRemoval(instance: Instance): string {
  const tables = ['inet', 'arp'].map((family) => ({ table: { family, name: tableName(instance) } }));
  return JSON.stringify({ nftables: tables.flatMap((table) => [{ add: table }, { delete: table }]) });
}

function addElements(commands: NftCommand[], how: 'add' | 'delete', target: Readonly<Record<string, string>>, elem: readonly unknown[]): void {
  if (elem.length === 0) return;
  const element = { element: { ...target, elem } };
  commands.push(how === 'add' ? { add: element } : { delete: element });
}
