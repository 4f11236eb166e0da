/** Metrics as text that Prometheus and what speaks its format read (prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4). */
import type { Counter, Gauge, MetricConfiguration, Registry } from 'prom-client';
import type { Backend } from '../backend.ts';
import { listMetrics } from './list-metrics.ts';

/** Asked for anew each time; nothing is kept between two questions. */
export async function renderMetrics(backend: Backend): Promise<string> {
  const [version, hosts, machines, pool, apps, containers] = await Promise.all([
    backend.version(), backend.hosts.list(), backend.machines.list(), backend.machines.pool(), backend.apps.list(), backend.containers.list(),
  ]);
  const { user, system } = process.cpuUsage();
  const metrics = listMetrics({ version, hosts, machines, pool, apps, containers, process: { cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss() } });
  const { newRegistry, newGauge, newCounter } = await parts();
  const registry = newRegistry();
  for (const { name, help, kind, samples } of metrics) {
    const configuration = { name, help, labelNames: Object.keys(samples[0]?.labels ?? {}), registers: [registry] };
    const metric = kind === 'gauge' ? newGauge(configuration) : newCounter(configuration);
    for (const { labels, value } of samples) metric.inc(labels, value);
  }
  return registry.metrics();
}

interface Parts {
  newRegistry(): Registry;
  newGauge(configuration: MetricConfiguration<string>): Gauge;
  newCounter(configuration: MetricConfiguration<string>): Counter;
}

let loaded: Promise<Parts> | undefined;
/** Only these three files of it, and only once somebody asks: all of it would cost the daemon 17 MB. */
function parts(): Promise<Parts> {
  loaded ??= Promise.all(['registry', 'gauge', 'counter'].map(async (name) => ((await import(`prom-client/lib/${name}.js`)) as { readonly default: new (...of: unknown[]) => unknown }).default)).then(([OfRegistry, OfGauge, OfCounter]) => ({
    newRegistry: () => new (OfRegistry as new () => Registry)(),
    newGauge: (configuration) => new (OfGauge as new (of: unknown) => Gauge)(configuration),
    newCounter: (configuration) => new (OfCounter as new (of: unknown) => Counter)(configuration),
  }));
  return loaded;
}
