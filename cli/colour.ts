/** Whether to colour, and a stable colour for each name. */

/** NO_COLOR and FORCE_COLOR win over what the stream is. */
export function wantsColour(stream: { readonly isTTY?: boolean }, env: Readonly<Record<string, string | undefined>>): boolean {
  if ((env['NO_COLOR'] ?? '') !== '') return false;
  if ((env['FORCE_COLOR'] ?? '') !== '') return env['FORCE_COLOR'] !== '0';
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}

const shades = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94] as const;

/** The same name has the same colour today and tomorrow. */
export function shadeOf(name: string): number {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + (letter.codePointAt(0) as number)) >>> 0;
  return shades[hash % shades.length] as number;
}

export const paint = (text: string, shade: number): string => `\u001b[${shade}m${text}\u001b[0m`;
