/**
 * Requests per second through our gateway's configuration against a hand-written HAProxy file for the same back ends,
 * keep-alive, in turn in one run (A B B A …). Bar: at least 0.95 of the hand-written file. Needs wrk.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { runProcess, silentLog, waitUntil } from '#base';
import { openHaproxyGateway } from '#services/haproxy';
import { awaitQuiet, inTurn, loadNow, median, quantile, report, round, rounds } from './harness/measure.ts';

const seconds = Number(process.env['BENCH_SECONDS'] ?? 3);
const bar = 0.95;
const backendPorts = [28_301, 28_302] as const;
const [oursPort, handPort, hostsPort] = [28_310, 28_311, 28_312] as const;

const folder = await mkdtemp('/tmp/bench-gateway-');
const children: ChildProcess[] = [];
const gateway = openHaproxyGateway({ instance: { name: 'bench', stateDir: folder, runDir: folder, cacheDir: folder, subnet: 199 }, log: silentLog });

/** A process of its own each: the servers, and the hand-written rival. */
async function startHaproxy(name: string, config: string, port: number): Promise<void> {
  await writeFile(`${folder}/${name}.cfg`, config);
  children.push(spawn('haproxy', ['-db', '-f', `${folder}/${name}.cfg`], { stdio: 'ignore' }));
  await waitUntil(() => new Promise<boolean>((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  }), { what: `${name} listens`, limitMs: 5000 });
}

async function requestsPerSecond(port: number): Promise<number> {
  const { stdout } = await runProcess(['wrk', '-t1', '-c32', `-d${seconds}s`, `http://127.0.0.1:${port}/`], { timeoutMs: (seconds + 20) * 1000 });
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`requests failed: ${stdout}`);
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]);
}

try {
  await mkdir(folder, { recursive: true });
  const page = 'x'.repeat(600);
  await startHaproxy('servers', ['global', '  nbthread 1', 'defaults', '  mode http', '  timeout client 30s', '  timeout http-keep-alive 30s', ...backendPorts.flatMap((port) => [`frontend f${port}`, `  bind 127.0.0.1:${port}`, `  http-request return status 200 content-type text/plain string "${page}"`]), ''].join('\n'), backendPorts[0]);
  const servers = backendPorts.map((port, index) => `  server s${index} 127.0.0.1:${port}`);
  await startHaproxy('hand', ['defaults', '  mode http', '  timeout connect 5s', '  timeout client 50s', '  timeout server 50s', '  option forwardfor', 'frontend in', `  bind 127.0.0.1:${handPort}`, '  default_backend out', 'backend out', '  balance roundrobin', ...servers, ''].join('\n'), handPort);
  await gateway.apply({
    backends: [{ name: 'bench_web_80', mode: 'http', parkingPort: 28_399, servers: backendPorts.map((port, index) => ({ name: `s${index}`, address: '127.0.0.1', port, state: 'ready', weight: 100 })) }],
    binds: [{ address: '127.0.0.1', port: oursPort, backend: 'bench_web_80' }], hosts: { port: hostsPort, routes: {} },
  });
  await requestsPerSecond(oursPort);
  await requestsPerSecond(handPort);
  await awaitQuiet();
  const load = loadNow();
  const figures = await inTurn(['ours', 'hand'], rounds(20), (who) => requestsPerSecond(who === 'ours' ? oursPort : handPort));
  const [ours, hand] = [median(figures.ours), median(figures.hand)];
  // More is better here: what counts as the worst is the twentieth part with the fewest.
  report({
    bench: 'gateway, keep-alive', unit: 'requests/s', strata: round(ours, 0), p95: round(quantile(figures.ours, 0.05), 0), rival: 'hand-written HAProxy file', rivalValue: round(hand, 0), rivalP95: round(quantile(figures.hand, 0.05), 0),
    ratio: round(ours / hand), rounds: figures.ours.length, load, bar: `≥ ${bar} ×`, met: ours / hand >= bar,
  });
} finally {
  await gateway.stop();
  for (const child of children) child.kill('SIGTERM');
  await rm(folder, { recursive: true });
}
