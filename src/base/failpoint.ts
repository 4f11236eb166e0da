/**
 * Crash points for tests: `failpoint('machines.start.afterTap')` does nothing unless STRATA_FAILPOINTS
 * names it. Grammar: `name=kill`, `name=error`, `name=2*error` (the first two times), separated by `;`.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { StrataError } from './errors.ts';

interface Armed { readonly action: 'kill' | 'error'; left: number }

const armed = parse(process.env['STRATA_FAILPOINTS'] ?? '');
const watched = new AsyncLocalStorage<(name: string) => void>();

/** @throws StrataError `base.failpoint` where armed with `error`; never returns where armed with `kill`. */
export function failpoint(name: string): void {
  watched.getStore()?.(name);
  const point = armed.get(name);
  if (point === undefined || point.left <= 0) return;
  point.left -= 1;
  if (point.action === 'kill') process.kill(process.pid, 'SIGKILL');
  throw new StrataError(`failpoint ${name}`, { code: 'base.failpoint', kind: 'internal' });
}

/** Arms crash points inside this process, for tests; an empty text disarms all. */
export function armFailpoints(text: string): void {
  armed.clear();
  for (const [name, point] of parse(text)) armed.set(name, point);
}

/**
 * Tells `atPoint` of every crash point that `body`, and whatever it sets going, comes to; it may throw there. So tests can
 * run several daemons side by side in one process and let each die at a place of its own.
 */
export function watchFailpoints<T>(atPoint: (name: string) => void, body: () => T): T {
  return watched.run(atPoint, body);
}

function parse(text: string): Map<string, Armed> {
  const points = new Map<string, Armed>();
  for (const part of text.split(';').filter((one) => one !== '')) {
    const match = /^([\w.-]+)=(?:(\d+)\*)?(kill|error)$/.exec(part);
    if (match === null) throw new StrataError(`STRATA_FAILPOINTS: cannot read '${part}'`, { code: 'base.failpointSyntax', kind: 'invalid' });
    points.set(match[1] as string, { action: match[3] as 'kill' | 'error', left: Number(match[2] ?? Number.MAX_SAFE_INTEGER) });
  }
  return points;
}
