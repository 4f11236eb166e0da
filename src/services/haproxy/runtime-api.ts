/** HAProxy's runtime API: a command on a UNIX socket, its answer until the end of the stream. */
import { connect } from 'node:net';
import { StrataError } from '#base';

const limitMs = 5000;
const maxAnswerBytes = 16 * 1024 * 1024;

/** @throws StrataError `gateway.unreachable`, its cause the system's error */
export function askHaproxy(socketPath: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: socketPath, allowHalfOpen: true });
    const chunks: Buffer[] = [];
    let bytes = 0;
    const fail = (why: string, cause?: unknown) => {
      socket.destroy();
      reject(new StrataError(`the gateway ${why}`, { code: 'gateway.unreachable', kind: 'unavailable', cause }));
    };
    socket.setTimeout(limitMs, () => fail(`did not answer within ${limitMs} ms`));
    socket.on('error', (error) => fail(`cannot be reached: ${error.message}`, error));
    socket.end(`${command}\n`); // the master answers until we have said our end
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxAnswerBytes) fail('answered with too much');
      else chunks.push(chunk);
    });
    socket.on('end', () => {
      socket.destroy();
      resolve(Buffer.concat(chunks).toString('utf8'));
    });
  });
}

/** Several commands, as few round trips as the command buffer (16 KiB) allows. Answers are not told apart: look afterwards. */
export async function tellHaproxy(socketPath: string, commands: readonly string[]): Promise<void> {
  let batch: string[] = [];
  let length = 0;
  const send = async () => {
    if (batch.length > 0) await askHaproxy(socketPath, batch.join('; '));
    batch = [];
    length = 0;
  };
  for (const command of commands) {
    if (length + command.length > 6000) await send();
    batch.push(command);
    length += command.length + 2;
  }
  await send();
}
