/**
 * Door of the client: the only thing command line and console import. Loads no schema library, and what most
 * commands never need only when it is.
 */
import type { StartOptions } from './start-daemon.ts';

export { openClient, followOperation, isReading, type CallOptions, type Client, type FollowOptions } from './open-client.ts';
export type { Terminal } from './open-terminal.ts';
export { ClientProblem } from './client-problem.ts';
export { placesFromEnvironment, type Places } from './places.ts';
export type { StartOptions } from './start-daemon.ts';
export type { OperationId } from '../contract/endpoints.ts';
export type {
  App, BackendLog, Container, Diagnostic, DiskBackend, DoctorItem, Engine, Event, ExecRequestInput, Host, Image, LogLine, Machine, MachinePhase, Operation, Problem, ResolvedApp, Service, Step, Snapshot, Version, Volume,
} from '#contract';

/** As `ensureDaemon` of start-daemon.ts, which is loaded for it. */
export async function ensureDaemon(options: StartOptions): Promise<boolean> {
  const { ensureDaemon: ensure } = await import('./start-daemon.ts');
  return ensure(options);
}
