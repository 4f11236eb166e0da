/** Health checks: HTTP and TCP by the agent itself from inside the container's network (no curl in the image), commands by exec. */
import * as os from 'os';
import * as sys from 'sys';
import type { GuestProbe } from '../protocol/messages.ts';
import { after, cancel, onReadable, onWritable } from './loop.ts';
import { insideNamespace } from './network.ts';
import { bytesOf, textOf } from './text.ts';

export interface ProbeResult { readonly ok: boolean; readonly output: string }
export type RunCommand = (argv: readonly string[], limitMs: number) => Promise<{ readonly code: number; readonly output: string }>;

const maxOutput = 4096;

/** @param address where the container can be reached by others; a server that listens on loopback only is not healthy */
export async function probe(container: string, address: string, test: GuestProbe['test'], limitMs: number, run: RunCommand): Promise<ProbeResult> {
  try {
    if (test.kind === 'command') {
      const { code, output } = await run(test.argv, limitMs);
      return { ok: code === 0, output: code === 0 ? output : `${output.trim()} (exit code ${code})`.trim().slice(-maxOutput) };
    }
    return await ask(container, address, test, limitMs);
  } catch (error) {
    return { ok: false, output: (error as Error).message.slice(0, maxOutput) };
  }
}

function ask(container: string, address: string, test: Extract<GuestProbe['test'], { kind: 'http' | 'tcp' }>, limitMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const fd = insideNamespace(container, () => sys.connect(address, test.port));
    let reply = '';
    let sent = false;
    const finish = (result: ProbeResult): void => {
      cancel(timer);
      onReadable(fd, null);
      onWritable(fd, null);
      os.close(fd);
      resolve(result);
    };
    const timer = after(limitMs, () => finish({ ok: false, output: `no answer on port ${test.port} within ${limitMs} ms` }));
    onWritable(fd, () => {
      if (sent) return;
      sent = true;
      onWritable(fd, null);
      const problem = sys.socketError(fd);
      if (problem !== '') return finish({ ok: false, output: `port ${test.port}: ${problem}` });
      if (test.kind === 'tcp') return finish({ ok: true, output: `port ${test.port} accepts connections` });
      const request = bytesOf(`GET ${test.path} HTTP/1.1\r\nHost: ${address}\r\nUser-Agent: strata-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n`);
      sys.write(fd, request.buffer as ArrayBuffer, 0, request.length);
      onReadable(fd, read);
    });
    const read = (): void => {
      const buffer = new ArrayBuffer(2048);
      let count: number;
      try { count = sys.read(fd, buffer); } catch (error) { return finish({ ok: false, output: (error as Error).message }); }
      if (count < 0) return;
      if (count > 0) reply += textOf(new Uint8Array(buffer, 0, count));
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(reply);
      if (status !== null) return finish({ ok: Number(status[1]) >= 200 && Number(status[1]) < 400, output: reply.slice(0, 300) });
      if (count === 0 || reply.length > maxOutput) finish({ ok: false, output: `not an HTTP answer: ${reply.slice(0, 200)}` });
    };
  });
}
