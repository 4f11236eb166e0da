/**
 * Reads a value of which parts are wrong as if those were not there, so that what else is wrong can be found
 * in the same reading. What comes out is only good for looking: the errors have been reported, nothing is made of it.
 */
import type { z } from 'zod';
import { isDeepStrictEqual } from 'node:util';

const mostRounds = 8;

export function parseLeniently<T>(schema: z.ZodType<T>, value: unknown): T | undefined {
  let rest = value;
  for (let round = 0; round < mostRounds; round += 1) {
    const result = schema.safeParse(rest);
    if (result.success) return result.data;
    const before = rest;
    for (const issue of result.error.issues) {
      const keys = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [issue.path];
      for (const path of keys) rest = without(rest, path as (string | number)[]);
    }
    if (isDeepStrictEqual(before, rest)) return undefined;
  }
  return undefined;
}

/** Lists go as a whole: the places of their items are known by number. */
function without(value: unknown, [step, ...rest]: readonly (string | number)[]): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || step === undefined) return value;
  const inside = (value as Record<string, unknown>)[step];
  const deeper = rest.length > 0 && typeof inside === 'object' && inside !== null && !Array.isArray(inside);
  return Object.fromEntries(Object.entries(value).flatMap(([key, one]) => (key !== String(step) ? [[key, one]] : deeper ? [[key, without(one, rest)]] : [])));
}
