/** `WWW-Authenticate` of a registry: what it wants before it answers. */
export interface Challenge {
  readonly scheme: 'basic' | 'bearer';
  readonly parameters: ReadonlyMap<string, string>;
}

const maxHeader = 8192;

/** The first scheme we know; parameters as quoted strings or tokens (RFC 9110 §11.6.1). */
export function parseChallenge(header: string): Challenge | undefined {
  const match = /(?:^|,\s*)(bearer|basic)(?:\s+(.*))?$/i.exec(header.slice(0, maxHeader));
  if (match === null) return undefined;
  const parameters = new Map<string, string>();
  for (const [, name, quoted, token] of (match[2] ?? '').matchAll(/([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/gi)) {
    parameters.set((name as string).toLowerCase(), quoted === undefined ? token ?? '' : quoted.replace(/\\(.)/g, '$1'));
  }
  return { scheme: (match[1] as string).toLowerCase() as Challenge['scheme'], parameters };
}
