/** Which operation a method and a path mean. A table of segments; no framework earns its memory for forty routes. */
import { StrataError } from '#base';
import { endpoints, type OperationId } from '#contract';

interface Entry { readonly id: OperationId; readonly method: string; readonly segments: readonly string[] }

const entries: readonly Entry[] = (Object.keys(endpoints) as OperationId[]).map((id) => ({
  id, method: endpoints[id].method, segments: endpoints[id].path.split('/').slice(1),
}));

export interface FoundRoute { readonly id: OperationId; readonly params: Readonly<Record<string, string>> }

/**
 * The operation for a request; literal segments win over parameters.
 * @throws StrataError `api.noSuchPath`, `api.methodNotAllowed`, `api.invalidRequest` (broken percent-encoding)
 */
export function findRoute(method: string, path: string): FoundRoute {
  const segments = path.split('/').slice(1);
  const matching = entries.filter((entry) => matches(entry, segments));
  const candidates = matching.filter((entry) => entry.method === method);
  const best = candidates.toSorted((a, b) => parameters(a) - parameters(b))[0];
  if (best !== undefined) return { id: best.id, params: readParameters(best, segments) };
  if (matching.length === 0) throw new StrataError(`there is nothing at ${path.slice(0, 200)}`, { code: 'api.noSuchPath', kind: 'notFound', advice: 'GET /openapi.json lists all paths' });
  const allowed = matching.map((entry) => entry.method);
  throw new StrataError(`${method} is not possible at ${path.slice(0, 200)}`, { code: 'api.methodNotAllowed', kind: 'invalid', details: { allowed } });
}

const isParameter = (segment: string): boolean => segment.startsWith('{');
const parameters = (entry: Entry): number => entry.segments.filter(isParameter).length;

function matches(entry: Entry, segments: readonly string[]): boolean {
  if (entry.segments.length !== segments.length) return false;
  return entry.segments.every((segment, at) => (isParameter(segment) ? segments[at] !== '' : segment === segments[at]));
}

function readParameters(entry: Entry, segments: readonly string[]): Record<string, string> {
  const params: Record<string, string> = {};
  entry.segments.forEach((segment, at) => {
    if (isParameter(segment)) params[segment.slice(1, -1)] = decode(segments[at] as string);
  });
  return params;
}

function decode(segment: string): string {
  try { return decodeURIComponent(segment); } catch (error) {
    throw new StrataError('the path has a broken percent-encoding', { code: 'api.invalidRequest', kind: 'invalid', cause: error });
  }
}
