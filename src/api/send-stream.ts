/** Streams of JSON lines and server-sent events, with back-pressure, heart-beat and an end on both sides. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';

/** Silence longer than this gets a comment, so that both ends notice a dead line. */
export const heartbeatMs = 15_000;

/** Sends every item; returns when they end or the client is gone. Waits for a slow client instead of filling memory. */
export async function sendStream(response: ServerResponse, kind: 'sse' | 'lines', items: AsyncIterable<unknown>, signal: AbortSignal): Promise<void> {
  response.writeHead(200, { 'Content-Type': kind === 'sse' ? 'text/event-stream' : 'application/jsonl', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' });
  response.flushHeaders();
  const beat = kind === 'sse' ? setInterval(() => response.write(': still here\n\n'), heartbeatMs) : undefined;
  try {
    for await (const item of items) {
      if (signal.aborted) break;
      if (!response.write(kind === 'sse' ? eventText(item) : `${JSON.stringify(item)}\n`)) await once(response, 'drain', { signal });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    clearInterval(beat);
  }
  response.end();
}

function eventText(item: unknown): string {
  const { revision } = item as { revision: number };
  return `id: ${revision}\nevent: change\ndata: ${JSON.stringify(item)}\n\n`;
}
