/**
 * Variables in text, as the Compose specification has them:
 *
 *   $VAR ${VAR}      its value; '' and a warning where it is not set
 *   ${VAR:-text}     text where it is not set or empty        ${VAR-text}  only where it is not set
 *   ${VAR:?why}      an error where it is not set or empty     ${VAR?why}   only where it is not set
 *   ${VAR:+text}     text where it is set and not empty        ${VAR+text}  where it is set
 *   $$               a dollar sign
 *
 * `text` and `why` may hold variables again.
 */
export type Lookup = (name: string) => string | undefined;

export type InterpolationProblem =
  | { readonly kind: 'unset'; readonly name: string }
  | { readonly kind: 'required'; readonly name: string; readonly why: string; readonly empty: boolean }
  | { readonly kind: 'syntax'; readonly text: string };

export interface Interpolated {
  readonly text: string;
  readonly problems: readonly InterpolationProblem[];
}

const mostNested = 32;
/** A default within a default may double the text; a sane file never comes near. */
const mostCharacters = 1024 * 1024;

export function interpolate(template: string, lookup: Lookup): Interpolated {
  if (!template.includes('$')) return { text: template, problems: [] };
  const problems: InterpolationProblem[] = [];
  return { text: expand(template, lookup, problems, 0), problems };
}

function expand(template: string, lookup: Lookup, problems: InterpolationProblem[], depth: number): string {
  let text = '';
  let at = 0;
  while (at < template.length) {
    const dollar = template.indexOf('$', at);
    if (dollar < 0 || text.length > mostCharacters) return text + template.slice(at);
    text += template.slice(at, dollar);
    const next = template[dollar + 1];
    if (next === '$') { text += '$'; at = dollar + 2; continue; }
    const [value, end] = next === '{' ? braced(template, dollar, lookup, problems, depth) : bare(template, dollar, lookup, problems);
    text += value;
    at = end;
  }
  return text;
}

function bare(template: string, dollar: number, lookup: Lookup, problems: InterpolationProblem[]): [string, number] {
  const name = /^[A-Za-z_][A-Za-z0-9_]*/.exec(template.slice(dollar + 1, dollar + 4097))?.[0];
  if (name === undefined) {
    problems.push({ kind: 'syntax', text: template.slice(dollar, dollar + 20) });
    return ['', dollar + 1];
  }
  return [valueOf(name, lookup, problems), dollar + 1 + name.length];
}

function valueOf(name: string, lookup: Lookup, problems: InterpolationProblem[]): string {
  const value = lookup(name);
  if (value === undefined) problems.push({ kind: 'unset', name });
  return value ?? '';
}

function braced(template: string, dollar: number, lookup: Lookup, problems: InterpolationProblem[], depth: number): [string, number] {
  const end = closingBrace(template, dollar + 2);
  const inside = end < 0 ? undefined : /^([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])([\s\S]*))?$/.exec(template.slice(dollar + 2, end));
  if (inside === undefined || inside === null || depth >= mostNested) {
    problems.push({ kind: 'syntax', text: template.slice(dollar, Math.min(dollar + 40, end < 0 ? template.length : end + 1)) });
    return ['', end < 0 ? template.length : end + 1];
  }
  const [, name = '', operator, operand = ''] = inside;
  return [chosen(name, operator, operand, lookup, problems, depth), end + 1];
}

function chosen(name: string, operator: string | undefined, operand: string, lookup: Lookup, problems: InterpolationProblem[], depth: number): string {
  if (operator === undefined) return valueOf(name, lookup, problems);
  const value = lookup(name);
  const there = value !== undefined && !(operator.startsWith(':') && value === '');
  const other = (): string => expand(operand, lookup, problems, depth + 1);
  if (operator.endsWith('-')) return there ? value : other();
  if (operator.endsWith('+')) return there ? other() : '';
  if (!there) problems.push({ kind: 'required', name, why: other(), empty: value !== undefined });
  return value ?? '';
}

/** Index of the brace that closes the one before `from`, or -1. `$$` hides nothing: braces are counted only after a dollar. */
function closingBrace(template: string, from: number): number {
  let open = 1;
  for (let at = from; at < template.length; at += 1) {
    if (template[at] === '$' && template[at + 1] === '$') at += 1;
    else if (template[at] === '$' && template[at + 1] === '{') { open += 1; at += 1; }
    else if (template[at] === '}' && (open -= 1) === 0) return at;
  }
  return -1;
}
