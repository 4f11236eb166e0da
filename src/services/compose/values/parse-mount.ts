/** The short syntax of a mount: `data:/var/lib/data:ro`, `./nginx.conf:/etc/nginx.conf:ro`, `/data`. Undefined for anything else. */
export interface ShortMount {
  /** Undefined: an anonymous volume. */
  readonly source: string | undefined;
  readonly target: string;
  readonly kind: 'volume' | 'bind';
  /** ro, rw, z, Z, nocopy, … as written. */
  readonly options: readonly string[];
}

export function parseMount(text: string): ShortMount | undefined {
  const parts = text.split(':');
  if (parts.length > 3 || parts.some((part) => part === '')) return undefined;
  const [first = '', second, third] = parts;
  if (second === undefined) return { source: undefined, target: first, kind: 'volume', options: [] };
  return { source: first, target: second, kind: isPath(first) ? 'bind' : 'volume', options: third?.split(',') ?? [] };
}

export const isPath = (source: string): boolean => /^(?:\/|~|\.)/.test(source);
