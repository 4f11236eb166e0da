/**
 * `strata serve --stop`: ends the daemon and nothing else. Where systemd runs it, systemd is asked, or it would start
 * the daemon again at once. The process is the one that the API names, looked at before it is signalled.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { ClientProblem, openClient, type Places, type Version } from '#client';
import { unitName } from './systemd-unit.ts';

const endLimitMs = 15_000;
const lookEveryMs = 50;

/** Returns what to tell. @throws ClientProblem `client.cannotStop` */
export async function stopDaemon(places: Places): Promise<string> {
  const unit = unitName(places.instance);
  const daemon = await daemonOf(places);
  const bySystemd = existsSync('/run/systemd/system') && systemctl('is-active', '--quiet', unit);
  if (bySystemd) {
    if (!systemctl('stop', unit)) throw cannotStop(`systemctl stop ${unit} failed`, `see \`systemctl status ${unit}\``);
    return `${unit} is stopped; machines and their services go on. It starts again with the host, or with \`systemctl start ${unit}\``;
  }
  if (daemon === undefined) return 'no daemon runs';
  if (!isDaemon(daemon.pid)) throw cannotStop(`process ${daemon.pid} is not the daemon any more`, 'try again');
  process.kill(daemon.pid, 'SIGTERM');
  for (const end = performance.now() + endLimitMs; isDaemon(daemon.pid);) {
    if (performance.now() > end) throw cannotStop(`the daemon (process ${daemon.pid}) did not end within ${endLimitMs / 1000} s`, `its log is ${places.daemonLog}; \`kill -9 ${daemon.pid}\` does no harm: the next start goes on where it was`);
    await new Promise((resolve) => { setTimeout(resolve, lookEveryMs); });
  }
  return `the daemon (process ${daemon.pid}) has ended; machines and their services go on. The next command starts it again`;
}

/** undefined where none answers. */
async function daemonOf(places: Places): Promise<Version | undefined> {
  const client = openClient(places.socketPath);
  try { return await client.call('getVersion', { timeoutMs: 5000 }); } catch (error) {
    if (error instanceof ClientProblem && error.code === 'client.unreachable') return undefined;
    throw error;
  } finally {
    client.close();
  }
}

/** A pid is used again; another program's is never signalled. */
function isDaemon(pid: number): boolean {
  try { return /-daemon\.[jt]s\0/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8')); } catch { return false; }
}

const systemctl = (...args: string[]): boolean => spawnSync('/usr/bin/systemctl', args, { stdio: ['ignore', 'ignore', 'inherit'], timeout: 60_000 }).status === 0;

function cannotStop(detail: string, advice: string): ClientProblem {
  return new ClientProblem({ code: 'client.cannotStop', detail, advice });
}
