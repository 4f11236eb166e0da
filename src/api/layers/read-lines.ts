/**
 * Lines of what a guest writes. A line that never ends comes in pieces of `most` characters, so that no guest decides how
 * much is kept of it; a reader that is slow stops the guest.
 */
import { StringDecoder } from 'node:string_decoder';

export async function* readLines(source: AsyncIterable<string | Buffer>, most: number): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  try {
    for await (const chunk of source) {
      // The other half of a line break at its end may still come.
      const text = rest + decoder.write(chunk);
      const whole = text.endsWith('\r') ? text.slice(0, -1) : text;
      const lines = whole.split(/\r\n|\r|\n/);
      rest = (lines.pop() ?? '') + text.slice(whole.length);
      for (const line of lines) yield* pieces(line, most);
      for (; rest.length > most; rest = rest.slice(most)) yield rest.slice(0, most);
    }
  } catch (thrown) {
    if ((thrown as { readonly code?: unknown }).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw thrown; // closed by us, or with its machine
  }
  rest += decoder.end();
  if (rest !== '') yield* pieces(rest.replace(/\r$/, ''), most);
}

function* pieces(line: string, most: number): Generator<string> {
  for (let at = 0; at === 0 || at < line.length; at += most) yield line.slice(at, at + most);
}
