/** Reads `show stat` (CSV with a header line that starts with '# '). Pure. */
import type { GatewayServerStats } from '../gateway/gateway.ts';

export function readStats(text: string): GatewayServerStats[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const columns = (lines.find((line) => line.startsWith('# ')) ?? '').slice(2).split(',');
  return lines.filter((line) => !line.startsWith('#')).flatMap((line) => {
    const row = line.split(',');
    const at = (name: string): string => row[columns.indexOf(name)] ?? '';
    if (at('type') !== '2') return []; // 2: a server
    return [{
      backend: at('pxname'), server: at('svname'), status: at('status'), currentSessions: Number(at('scur')),
      totalRequests: Number(at('mode') === 'http' ? at('req_tot') || at('stot') : at('stot')), errors5xx: Number(at('hrsp_5xx')),
    }];
  });
}

/** One line per server: what several workers say of it, added up; the status is that of the first. */
export function addStats(all: readonly (readonly GatewayServerStats[])[]): GatewayServerStats[] {
  const sums = new Map<string, GatewayServerStats>();
  for (const one of all.flat()) {
    const key = `${one.backend}/${one.server}`;
    const sum = sums.get(key);
    sums.set(key, sum === undefined ? one : {
      ...sum, currentSessions: sum.currentSessions + one.currentSessions, totalRequests: sum.totalRequests + one.totalRequests, errors5xx: sum.errors5xx + one.errors5xx,
    });
  }
  return [...sums.values()];
}
