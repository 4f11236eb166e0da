/**
 * A TCP port nobody listens on now, and nobody gets by chance later: below those that the kernel gives to whoever connects
 * somewhere (ip_local_port_range begins at 32768), which other tests do all the time.
 */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

const [first, last] = [12_000, 32_000];

export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(first, last);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}
