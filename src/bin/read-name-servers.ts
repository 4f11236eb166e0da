/** The name servers the host itself asks (resolv.conf(5)); what guests ask of us and we do not know goes there. */
import { readFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';

const mostServers = 3;

/** IPv4 only, at most three; none where the host has none. */
export async function readNameServers(path = '/etc/resolv.conf'): Promise<readonly string[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => { if (error.code === 'ENOENT') return ''; throw error; });
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1] ?? '').filter((address) => isIPv4(address)).slice(0, mostServers);
}
