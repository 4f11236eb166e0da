/** Hosts and what they lack. */
import { inspectHost, checkHost, type Host as HostRecord, type HostCheck } from '#pool';
import type { DoctorItem, Host } from '#contract';
import type { Backend } from '../backend.ts';
import { findByHandle } from './find-record.ts';
import type { Layers } from './layers.ts';
import { timeOf } from './show-machine.ts';

const mebibyte = 1024 ** 2;

export function hostsBackend(layers: Layers): Backend['hosts'] {
  async function all(): Promise<readonly HostRecord[]> {
    const own = await layers.host.observe();
    const others = (await layers.host.hosts.list()).map((one) => one.value).filter((one) => one.id !== own.id);
    return [own, ...others];
  }
  return {
    list: async () => (await all()).map(showHost),
    get: async (handle) => showHost(findByHandle('host', handle, await all())),
  };
}

function showHost(host: HostRecord): Host {
  return {
    id: host.id, name: host.name, architecture: host.architecture, state: host.state,
    processors: { total: host.processors.count, promised: host.promised.processors, load1: host.processors.load1 },
    memory: { totalBytes: host.memory.totalMiB * mebibyte, promisedBytes: host.promised.memoryMiB * mebibyte, availableBytes: host.memory.availableMiB * mebibyte },
    disk: { path: host.disk.path, totalBytes: host.disk.totalBytes, availableBytes: host.disk.freeBytes },
    runs: host.proofs.map((proof) => ({ ...proof, engine: proof.engine as Host['runs'][number]['engine'] })),
    kernel: host.kernel, machines: host.promised.machines, bootedAt: timeOf(host.bootedAt),
  };
}

const states = { ok: 'ok', warn: 'warning', fail: 'broken' } as const satisfies Record<HostCheck['status'], DoctorItem['state']>;

export async function examineHost(layers: Layers): Promise<readonly DoctorItem[]> {
  const proofs = await layers.machines.proofs();
  const findings = await inspectHost({ stateDir: layers.instance.stateDir, proofs });
  const versions = new Map(findings.packages.map((one) => [one.name, one.version ?? '']));
  return checkHost(findings).map((check) => ({
    name: check.name, state: check.found === 'missing' && check.status === 'fail' ? 'missing' : states[check.status],
    version: versions.get(check.name) ?? '', message: versions.has(check.name) && check.status === 'ok' ? check.purpose : `${check.found} (${check.purpose})`, advice: check.advice,
  }));
}
