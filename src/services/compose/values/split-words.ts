/**
 * A command line as one text, cut into words as Docker Compose does: by blanks, with quotes and backslashes
 * as in a shell, but with no shell behind it. An operator of a shell outside of quotes would be lost, so it is refused.
 */
export type Words = { readonly words: readonly string[] } | { readonly wrong: string };

export function splitWords(text: string): Words {
  const words: string[] = [];
  let word = '';
  let begun = false;
  let quote = '';
  for (let at = 0; at < text.length; at += 1) {
    const one = text[at] as string;
    if (one === '\\' && quote !== "'") {
      const next = text[at + 1];
      if (next === undefined) return { wrong: 'ends with a backslash' };
      // Within double quotes a backslash hides only what would mean something there.
      word += quote === '"' && !'"\\$`'.includes(next) ? one + next : next;
      begun = true;
      at += 1;
    } else if (quote !== '') {
      if (one === quote) quote = '';
      else word += one;
    } else if (one === '"' || one === "'") {
      quote = one;
      begun = true;
    } else if (' \t\r\n'.includes(one)) {
      if (begun) words.push(word);
      word = '';
      begun = false;
    } else if (';&|<>`'.includes(one)) {
      return { wrong: `holds ${one} outside of quotes, and there is no shell to obey it` };
    } else {
      word += one;
      begun = true;
    }
  }
  if (quote !== '') return { wrong: `has a ${quote} that is never closed` };
  if (begun) words.push(word);
  return { words };
}
