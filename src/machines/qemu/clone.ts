/** A clone that runs and has all it needs. */
import type { Socket } from 'node:net';
import type { KeeperRecord } from '../launcher/index.ts';
import type { VmmSockets } from '../vmm/vmm-sockets.ts';
import type { Monitor } from './qmp/open-monitor.ts';
import type { StartRecord } from './start-record.ts';

export interface Clone {
  readonly record: KeeperRecord;
  /** As it lies in its folder: not ready. */
  readonly begun: StartRecord;
  readonly monitor: Monitor;
  readonly sockets: VmmSockets;
  /** To its agent; open, paused, and nobody's. */
  readonly line: Socket;
}
