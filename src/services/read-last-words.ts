/** The end of a container's log as a few indented lines for an error; '' where it cannot be had in time. */
import { asStrataError, type Clock, type Log } from '#base';
import type { AgentStream } from '#machines';

interface LastWordsDeps {
  logs(id: string, options: { readonly follow: false; readonly tail: number }): Promise<AgentStream>;
  readonly clock: Clock;
  readonly log: Log;
}

const tail = 5;
const limitMs = 5000;
const maxBytes = 64 * 1024;
const maxLine = 300;

/** Never rejects: an error must not be hidden by its decoration. */
export async function readLastWords(deps: LastWordsDeps, id: string): Promise<string> {
  const limit = new AbortController();
  const late = deps.clock.wait(limitMs, limit.signal).then(() => '', () => '');
  try {
    return await Promise.race([late, read(deps, id)]);
  } catch (thrown) {
    deps.log.debug({ id, error: asStrataError(thrown, 'logs').message }, 'the last words of a container could not be read');
    return '';
  } finally {
    limit.abort();
  }
}

async function read(deps: LastWordsDeps, id: string): Promise<string> {
  const stream = await deps.logs(id, { follow: false, tail });
  stream.done.catch(() => undefined); // what came until then is what there is
  let text = '';
  for await (const chunk of stream.output) {
    text += String(chunk);
    if (text.length > maxBytes) break;
  }
  stream.close();
  return text.split('\n').map(textOf).filter((line) => line !== undefined).slice(-tail).map((line) => `  ${line.slice(0, maxLine)}`).join('\n');
}

/** Hostile or cut lines are left out. */
function textOf(line: string): string | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'l' in value && typeof value.l === 'string' ? value.l : undefined;
  } catch { return undefined; }
}
