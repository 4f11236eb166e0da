/** Sizes as Docker writes them: 512, 512b, 64k, 1.5gb, 2GiB; each step is 1024. Undefined for anything else. */
const steps = 'kmgtp';

export function parseBytes(value: string | number): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  const parts = /^(\d{1,15}(?:\.\d{1,15})?) ?([kmgtp])?i?b?$/i.exec(value.trim());
  if (parts === null) return undefined;
  const [, count = '', unit = ''] = parts;
  const bytes = Math.floor(Number(count) * 1024 ** (unit === '' ? 0 : steps.indexOf(unit.toLowerCase()) + 1));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
