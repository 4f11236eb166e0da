/**
 * Small schemas that the Compose model is made of. They are closed: an unknown key is an error, except `x-…`,
 * which the specification leaves to others. Numbers and booleans may be text, since a variable always is.
 */
import { z } from 'zod';

/** A mapping with exactly these keys, all optional, and `x-…`; `x-strata` only where it is among them. */
export function closed<Shape extends z.core.$ZodLooseShape>(shape: Shape): z.ZodPipe<z.ZodTransform<unknown, unknown>, z.ZodObject<Shape, z.core.$strict>> {
  return z.preprocess((value) => withoutExtensions(value, shape), z.strictObject(shape)) as never;
}

/** `x-strata` is ours alone: where it has no meaning it is no extension but a mistake. */
function withoutExtensions(value: unknown, shape: object): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const keys = Object.keys(value);
  if (!keys.some((key) => isExtension(key) && !(key in shape))) return value;
  return Object.fromEntries(Object.entries(value).filter(([key]) => !isExtension(key) || key in shape));
}

const isExtension = (key: string): boolean => key.startsWith('x-') && key !== 'x-strata';

export const text = z.string();
export const number = z.union([z.number(), z.string()]);
export const flag = z.union([z.boolean(), z.string()]);
export const texts = z.array(text);
export const textOrTexts = z.union([text, texts]);
export const value = z.union([z.string(), z.number(), z.boolean(), z.null()]);
/** NAME: value, or a list of NAME=value. */
export const pairs = z.union([z.record(z.string(), value), texts]);
export const command = z.union([z.string(), texts, z.null()]);
/** A key that is refused whatever it holds; its row in the conformance table says why. */
export const refused = z.unknown().optional();
/** Names of services, volumes and their kin. */
export const named = <T extends z.ZodType>(item: T): z.ZodRecord<z.ZodString, T> => z.record(z.string().regex(/^[a-zA-Z0-9._-]{1,255}$/), item);
