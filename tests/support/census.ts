/** What there is of an instance on the host: processes, links, tables, mounts, control groups, files of machines. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { bridgeName, type Instance } from '#base';

export interface ProcessSeen { readonly pid: number; readonly command: string }

/** Processes of the instance: by their environment, their command line or their control group. */
export function processesOf(instance: Instance): readonly ProcessSeen[] {
  const seen: ProcessSeen[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const read = (file: string) => { try { return readFileSync(`/proc/${name}/${file}`, 'latin1'); } catch { return ''; } };
    const command = read('cmdline').replaceAll('\0', ' ').trim();
    if (command === '') continue; // a zombie or a thread of the kernel
    const mine = command.includes(`${instance.runDir}/`) || read('environ').includes(`STRATA_RUN=${instance.runDir}\0`) || new RegExp(`/strata-${instance.name}(/|$)`, 'm').test(read('cgroup'));
    if (mine) seen.push({ pid: Number(name), command });
  }
  return seen;
}

/** Everything that is there, one line each; empty where the instance left nothing. */
export function census(instance: Instance): readonly string[] {
  return [...processesOf(instance).map((one) => `process ${one.pid}: ${one.command.slice(0, 160)}`), ...allMachineTraces(instance), ...linksOf(instance), ...tablesOf(instance), ...(existsSync(instance.runDir) ? [`folder ${instance.runDir}`] : [])];
}

/** Traces of machines alone: what must be gone after `down` while daemon, templates, gateway and edge go on. */
export function machineTraces(instance: Instance): readonly string[] {
  return allMachineTraces(instance).filter((line) => !ofTemplate.test(line));
}

/** A template's holder, the machine that is being made into one, and its zygote. */
export const ofTemplate = / hold |\bm[tz][0-9a-f]{12}\b/;

function allMachineTraces(instance: Instance): readonly string[] {
  const names = (path: string): string[] => { try { return readdirSync(path); } catch { return []; } };
  const lines: string[] = [];
  for (const one of processesOf(instance)) if (/qemu-system|qemu-storage-daemon|launcher-/.test(one.command)) lines.push(`process ${one.pid}: ${one.command.slice(0, 160)}`);
  for (const engine of ['qemu', 'uml']) {
    for (const name of names(join(instance.runDir, engine.slice(0, 1)))) lines.push(`run folder ${name}`);
    for (const name of names(join(instance.stateDir, engine))) lines.push(`state folder ${name}`);
  }
  for (const name of names(join(instance.stateDir, 'disks'))) lines.push(`disks of ${name}`);
  for (const name of names(join(instance.stateDir, 'qemu-uids'))) lines.push(`uid ${name} of ${textOf(join(instance.stateDir, 'qemu-uids', name))}`);
  for (const link of linksOf(instance)) if (link !== `link ${bridgeName(instance)}`) lines.push(link);
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const path = line.split(' ')[1] ?? '';
    if (path.startsWith(`${instance.runDir}/`) || path.startsWith(`${instance.stateDir}/`)) lines.push(`mount ${path}`);
    if (/^(cgroup|cgroup2) /.test(line)) for (const group of names(join(path, `strata-${instance.name}`))) if (/^m[a-z0-9]+$/.test(group)) lines.push(`cgroup ${path}/strata-${instance.name}/${group}`);
  }
  return lines;
}

function textOf(path: string): string {
  try { return readFileSync(path, 'utf8'); } catch { return ''; }
}

function linksOf(instance: Instance): readonly string[] {
  const names = readdirSync('/sys/class/net');
  // A tap's alias holds the id of its machine.
  const taps = names.filter((name) => name.startsWith(`${instance.name}-t`)).map((name) => `link ${name} of ${textOf(`/sys/class/net/${name}/ifalias`).trim()}`);
  return [...names.filter((name) => name === bridgeName(instance)).map((name) => `link ${name}`), ...taps];
}

function tablesOf(instance: Instance): readonly string[] {
  const { stdout } = spawnSync('nft', ['list', 'tables'], { encoding: 'utf8' });
  return stdout.split('\n').filter((line) => new RegExp(`\\bstrata_${instance.name}$`).test(line)).map((line) => `nft ${line}`);
}

export interface ProcessWeight { readonly rssKiB: number; readonly descriptors: readonly string[] }

/** Memory of a process, and what its open descriptors lead to. */
export function weigh(pid: number): ProcessWeight {
  const rss = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  const descriptors = readdirSync(`/proc/${pid}/fd`).flatMap((one) => { try { return [readlinkSync(`/proc/${pid}/fd/${one}`)]; } catch { return []; } });
  return { rssKiB: Number(rss ?? 0), descriptors };
}
