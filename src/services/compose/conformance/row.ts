/**
 * A row of the conformance table: what becomes of one key of the Compose specification. The table is not a
 * description of the reader but a part of it: a refused key is refused because its row says so.
 */
export type Conformance =
  /** Does what the specification says. */
  | 'honoured'
  /** Does it with the limits in the note; where a limit is met, there is an error or a warning. */
  | 'partly'
  /** An error, at its place, with the reason. */
  | 'refused';

export interface ConformanceRow {
  /** Keys joined by dots; `*` is a name of the user's own, `[]` an item of a list. */
  readonly key: string;
  readonly state: Conformance;
  /** For refused keys the reason. */
  readonly note: string;
  /** What to do instead; '' where there is nothing. */
  readonly advice: string;
  /** Compose text in which the key stands: a whole file, or what a service holds beside `image`. */
  readonly example: string;
  /** Values that ask for nothing but what is so anyway. */
  readonly harmless: readonly unknown[];
}

type Build = (key: string, example: string, note?: string) => ConformanceRow;

/** Rows of a part: `at('services.*')` gives functions whose keys start there. */
export function at(prefix: string): { honoured: Build; partly: Build; refused: (key: string, example: string, note: string, advice?: string, harmless?: readonly unknown[]) => ConformanceRow } {
  const full = (key: string): string => (key === '' ? prefix : prefix === '' ? key : `${prefix}.${key}`);
  return {
    honoured: (key, example, note = '') => ({ key: full(key), state: 'honoured', note, advice: '', example, harmless: [] }),
    partly: (key, example, note = '') => ({ key: full(key), state: 'partly', note, advice: '', example, harmless: [] }),
    refused: (key, example, note, advice = '', harmless = []) => ({ key: full(key), state: 'refused', note, advice, example, harmless }),
  };
}
