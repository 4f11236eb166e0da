/** What the backend stands on: every layer as opened by the daemon's program. */
import type { Clock, Dice, Instance, Log } from '#base';
import type { Readiness } from '#contract';
import type { Containers, Images } from '#containers';
import type { OpenedMachines } from '#machines';
import type { Addresses, PoolHost } from '#pool';
import type { UserOperations } from '#reconcile';
import type { Services } from '#services';
import type { Store } from '#store';

export interface Layers {
  readonly instance: Instance;
  readonly version: string;
  readonly startedAt: number;
  readonly store: Store;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  readonly host: PoolHost;
  readonly addresses: Addresses;
  readonly machines: OpenedMachines;
  readonly images: Images;
  readonly containers: Containers;
  readonly services: Services;
  readonly operations: UserOperations;
  /** Port of `http://<service>.<app>.localhost`. */
  readonly hostsPort: number;
  readiness(): Readiness;
}
