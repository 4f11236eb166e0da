/** A pooled machine of UML: a kernel with its agent's line, standing still, nobody's. */
import type { Socket } from 'node:net';
import type { ProcessIdentity } from '#base';
import type { KeeperRecord } from '../../launcher/index.ts';
import type { PooledMember } from '../../pooled/pool-shelf.ts';
import type { VmmPlaces } from '../../vmm/vmm-places.ts';
import type { VmmSockets } from '../../vmm/vmm-sockets.ts';
import type { StartRecord } from '../start-record.ts';

export interface PooledMachine extends PooledMember {
  readonly places: VmmPlaces;
  readonly record: KeeperRecord;
  /** As it lies in its folder: not ready. */
  readonly begun: StartRecord;
  readonly kernel: ProcessIdentity;
  readonly sockets: VmmSockets;
  /** To its agent; open, paused, and nobody's. */
  readonly line: Socket;
}
