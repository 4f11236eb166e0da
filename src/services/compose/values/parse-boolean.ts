/** A boolean, or a text that says one (a variable put in its place always is text). Undefined for anything else. */
export function parseBoolean(value: boolean | string | undefined): boolean | undefined {
  if (typeof value !== 'string') return value;
  const text = value.toLowerCase();
  if (['true', '1', 't', 'yes', 'y', 'on'].includes(text)) return true;
  if (['false', '0', 'f', 'no', 'n', 'off'].includes(text)) return false;
  return undefined;
}
