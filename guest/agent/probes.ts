/** Health checks: HTTP and TCP by the agent itself from inside the container's network (no curl in the image), commands by exec. */
import * as os from 'os';
import * as sys from 'sys';
import type { GuestProbe } from '../protocol/messages.ts';
import { insideNamespace } from './network.ts';
import { bytesOf, textOf } from './text.ts';

export interface ProbeResult { readonly ok: boolean; readonly output: string }
export type RunCommand = (argv: readonly string[], limitMs: number) => Promise<{ readonly code: number; readonly output: string }>;

const maxOutput = 4096;

export async function probe(container: string, test: GuestProbe['test'], limitMs: number, run: RunCommand): Promise<ProbeResult> {
  try {
    if (test.kind === 'command') {
      const { code, output } = await run(test.argv, limitMs);
      return { ok: code === 0, output: code === 0 ? output : `${output.trim()} (exit code ${code})`.trim().slice(-maxOutput) };
    }
    return await ask(container, test, limitMs);
  } catch (error) {
    return { ok: false, output: (error as Error).message.slice(0, maxOutput) };
  }
}

function ask(container: string, test: Extract<GuestProbe['test'], { kind: 'http' | 'tcp' }>, limitMs: number): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    const fd = insideNamespace(container, () => sys.connect('127.0.0.1', test.port));
    let reply = '';
    let sent = false;
    const finish = (result: ProbeResult): void => {
      os.clearTimeout(timer);
      os.setReadHandler(fd, null);
      os.setWriteHandler(fd, null);
      os.close(fd);
      resolve(result);
    };
    const timer = os.setTimeout(() => finish({ ok: false, output: `no answer on port ${test.port} within ${limitMs} ms` }), limitMs);
    os.setWriteHandler(fd, () => {
      if (sent) return;
      sent = true;
      os.setWriteHandler(fd, null);
      const problem = sys.socketError(fd);
      if (problem !== '') return finish({ ok: false, output: `port ${test.port}: ${problem}` });
      if (test.kind === 'tcp') return finish({ ok: true, output: `port ${test.port} accepts connections` });
      const request = bytesOf(`GET ${test.path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: strata-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n`);
      sys.write(fd, request.buffer as ArrayBuffer, 0, request.length);
      os.setReadHandler(fd, read);
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
    void reject;
  });
}
