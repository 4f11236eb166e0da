/**
 * What upper layers may do with machines beside writing their records: reach the agent inside and plug
 * disks. Wishes go through the store (`machine/<id>`); the machines controller carries them out.
 */
import type { Duplex } from 'node:stream';
import type { AgentCalls, AgentEvent, AgentMethod } from '#guest-protocol';
import type { AcceleratorProof } from './engine.ts';
import type { MachineDisk } from './machine.ts';

export interface CallOptions<R> {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Told the answer at its place on the line: before any event that came behind it, which the promise may be later than. */
  readonly heard?: (result: R) => void;
}

/** A multiplexed connection to one guest's agent. */
export interface AgentConnection {
  /** @throws StrataError `agent.refused` (the guest said no), `agent.timeout`, `agent.gone` (line lost) */
  call<M extends AgentMethod>(method: M, params: AgentCalls[M]['params'], options?: CallOptions<AgentCalls[M]['result']>): Promise<AgentCalls[M]['result']>;
  /** A fresh stream id with its data; open it before the call that names it. stderr arrives apart. */
  openStream(): AgentStream;
  onEvent(listener: (event: AgentEvent) => void): () => void;
  /** Settles when the line is lost or closed. */
  readonly closed: Promise<void>;
}

export interface AgentStream {
  readonly id: number;
  readonly input: NodeJS.WritableStream;
  readonly output: NodeJS.ReadableStream;
  readonly errors: NodeJS.ReadableStream;
  /** Exit code for exec streams (0 for logs); rejects with `agent.gone` when the line is lost first. */
  readonly done: Promise<number>;
  close(): void;
}

export interface Machines {
  /** The agent of a running machine; waits for it to answer up to the limit. @throws `machine.notRunning`, `agent.timeout` */
  agent(machineId: string, options?: { timeoutMs?: number }): Promise<AgentConnection>;
  attachDisk(machineId: string, disk: MachineDisk): Promise<void>;
  detachDisk(machineId: string, serial: string): Promise<void>;
  openConsole(machineId: string): Promise<Duplex>;
  consoleLog(machineId: string): Promise<Buffer>;
  /** What this host's engines were proved to run (cached per boot and QEMU version). */
  proofs(): Promise<readonly AcceleratorProof[]>;
}
