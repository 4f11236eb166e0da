/** Container specifications for tests: everything default but what a test is about. */
import type { GuestContainerSpec } from '#guest-protocol';

let made = 0;

export function specOf(fields: Partial<GuestContainerSpec> & { readonly argv: readonly string[] }): GuestContainerSpec {
  made += 1;
  const spec = {
    id: `c-${made}`, hostname: 'box', imageSerial: 'img', env: ['PATH=/bin'], cwd: '/', user: '', extraGroups: [], readOnlyRoot: false, mounts: [], limits: {}, network: null,
    capabilities: { add: [], drop: [] }, privileged: false, init: false, tty: false, stopSignal: 'SIGTERM', stopGraceMs: 500, restart: { policy: 'no' as const }, health: null,
    sysctls: {}, ulimits: [], shmBytes: 0, logBytes: 1 << 20, ...fields,
  };
  return { digest: JSON.stringify(spec), ...spec };
}

export const shell = (script: string): string[] => ['/bin/sh', '-c', script];
