/**
 * Door of the contract: what the API looks like from outside. What comes out of the API is exported as
 * types only, because a running program validates what goes in and nothing else; tools and tests that
 * need every schema use document.ts. Programs that must start in a blink import endpoints.ts,
 * stream-frames.ts and permitted-actions.ts by themselves, which load no schema library.
 */
export { endpoints, pathOf, upgradeProtocol, type Endpoint, type OperationId, type PlainOperationId, type StreamKind, type StreamOperationId } from './endpoints.ts';
export { parameterNames, parameterSchema, requestShape, type BodyInputOf, type BodyOf, type QueryOf, type RequestShape, type StartInputOf, type StartOf } from './requests.ts';
export type { AnswerOf } from './routes.ts';
export { machineActions, machinePhases, permissionOf, permissionsIn, permittedIn, type MachineAction, type MachinePhase, type Permission } from './permitted-actions.ts';
export { StreamFrameDecoder, StreamFrameError, encodeStreamFrame, maxStreamPayload, streamFrameTypes, type StreamFrame, type StreamFrameType } from './stream-frames.ts';
export { terminalSizeSchema, type DiskClone, type ExecRequest, type ExecRequestInput, type MachineClone, type MachineCreate, type SnapshotCreate, type TerminalSize } from './machine-requests.ts';
export type { ImageImport, ImagePull } from './image-requests.ts';
export type { AppAction, AppPut, AppPutInput, AppResolve, AppResolveInput } from './app-requests.ts';
export type { Diagnostic, Problem } from './problem.ts';
export type { DoctorItem, Host, Readiness, Version } from './host.ts';
export { abilityWords, engineAbilities, reasonAgainst, type EngineAbility } from './engine-abilities.ts';
export type { Engine } from './engine.ts';
export type { ConsoleLine, Machine, PooledMachines, Snapshot } from './machine.ts';
export type { BackendLog, DiskBackend } from './disk-backend.ts';
export type { Image } from './image.ts';
export type { App, Container, LogLine, ResolvedApp, Service, Volume } from './app.ts';
export type { Event, Operation, OperationStatus, Step } from './operation.ts';
