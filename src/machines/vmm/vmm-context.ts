/** What the parts shared by engines need of the engine that uses them. */
import type { Clock, Instance } from '#base';
import type { HostNetwork } from '#pool';

export interface VmmContext {
  readonly instance: Instance;
  readonly clock: Clock;
  readonly network: (Pick<HostNetwork, 'ensureTap' | 'removeTap'> & Partial<Pick<HostNetwork, 'handOverTap'>>) | undefined;
  readonly launcher: () => Promise<string>;
}
