/** Answers about a schema, for error messages and for the test that the conformance table misses no key. */
import type { z } from 'zod';
import type { TreePath } from '../yaml/tree.ts';

type Any = z.core.$ZodType;

/** The forms a value may have, wrappers taken off. */
export function formsOf(schema: Any): Any[] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'optional': case 'nullable': return formsOf(def.innerType);
    case 'pipe': return formsOf(def.out);
    case 'union': return def.options.flatMap(formsOf);
    default: return [schema];
  }
}

/** Children by key: `*` for names of the user's own, `[]` for items of a list. */
export function childrenOf(schema: Any): Map<string, Any> {
  const children = new Map<string, Any>();
  for (const form of formsOf(schema)) {
    const { def } = (form as z.core.$ZodTypes)._zod;
    if (def.type === 'object') for (const [key, one] of Object.entries(def.shape)) children.set(key, one);
    else if (def.type === 'record') children.set('*', def.valueType);
    else if (def.type === 'array') children.set('[]', def.element);
  }
  return children;
}

function schemaAt(schema: Any, path: TreePath): Any | undefined {
  let here: Any | undefined = schema;
  for (const step of path) {
    if (here === undefined) return undefined;
    const children = childrenOf(here);
    here = typeof step === 'number' ? children.get('[]') : children.get(step) ?? children.get('*');
  }
  return here;
}

/** Keys known at a path. */
export function keysAt(schema: Any, path: TreePath): string[] {
  const there = schemaAt(schema, path);
  return there === undefined ? [] : [...childrenOf(there).keys()].filter((key) => key !== '*' && key !== '[]');
}

/** 'text or a list', for messages. */
export function describeExpected(schema: Any, path: TreePath): string {
  const there = schemaAt(schema, path);
  if (there === undefined) return 'something else';
  return [...new Set(formsOf(there).flatMap(describeForm))].join(' or ');
}

function describeForm(form: Any): string[] {
  const { def } = (form as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'string': return ['text'];
    case 'number': return ['a number'];
    case 'boolean': return ['true or false'];
    case 'array': return ['a list'];
    case 'object': case 'record': return ['a mapping'];
    case 'enum': return Object.values(def.entries).map(String);
    case 'null': return ['empty'];
    default: return [];
  }
}

/** Every key of a schema as a dotted pattern: `services.*.ports.[].target`. */
export function keysOf(schema: Any, path = ''): string[] {
  return [...childrenOf(schema)].flatMap(([key, one]) => {
    const here = path === '' ? key : `${path}.${key}`;
    return [here, ...keysOf(one, here)];
  });
}
