/** Which conditions of a service's depends_on do not hold yet; pure. Empty means it may start. */
import type { AppObserved } from './app-observed.ts';
import type { AppRecord } from './app-record.ts';
import type { ServiceSpec } from './app.ts';

export function dependenciesMet(service: ServiceSpec, app: AppRecord, observed: AppObserved): { kind: string; subject: string; why: string }[] {
  return service.dependsOn.flatMap((dependency) => {
    const target = app.spec.services.find((one) => one.name === dependency.service);
    if (target === undefined) return dependency.required ? [{ kind: 'dependency', subject: service.name, why: `it depends on ${dependency.service}, which this app does not have` }] : [];
    const containers = observed.containers.filter((one) => one.spec.service === dependency.service && !one.spec.draining);
    const holds = containers.length >= target.replicas && containers.every(({ status }) => {
      if (status === undefined) return false;
      if (dependency.condition === 'started') return status.phase === 'running' || status.phase === 'exited' || status.phase === 'waiting';
      if (dependency.condition === 'healthy') return status.phase === 'running' && status.health === 'healthy';
      return status.phase === 'exited' && status.exitCode === 0;
    });
    const words = { started: 'has started', healthy: 'is healthy', completed: 'has done its work' }[dependency.condition];
    return holds ? [] : [{ kind: 'dependency', subject: service.name, why: `it starts when ${dependency.service} ${words}` }];
  });
}
