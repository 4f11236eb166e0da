/**
 * Door of the contract: what the API looks like from outside. Programs that must start fast import
 * endpoints.ts, stream-frames.ts and permitted-actions.ts by themselves, which load no schema library.
 */
export { endpoints, pathOf, upgradeProtocol, type Endpoint, type OperationId, type PlainOperationId, type StreamKind, type StreamOperationId } from './endpoints.ts';
export { shapes, parameterNames, parameterSchema, type AnswerOf, type BodyInputOf, type BodyOf, type QueryOf, type Shape, type StartInputOf, type StartOf } from './routes.ts';
export { openApiDocument } from './openapi-document.ts';
export { machineActions, machinePhases, permissionOf, permissionsIn, permittedIn, type MachineAction, type MachinePhase, type Permission } from './permitted-actions.ts';
export { StreamFrameDecoder, StreamFrameError, encodeStreamFrame, maxStreamPayload, streamFrameTypes, type StreamFrame, type StreamFrameType } from './stream-frames.ts';
export { diagnosticSchema, problemSchema, type Diagnostic, type Problem } from './problem.ts';
export { doctorItemSchema, hostSchema, type DoctorItem, type Host, type Readiness, type Version } from './host.ts';
export { execRequestSchema, machineSchema, terminalSizeSchema, type ConsoleLine, type ExecRequest, type ExecRequestInput, type Machine, type MachineCreate, type TerminalSize } from './machine.ts';
export { imageSchema, type Image, type ImageImport, type ImagePull } from './image.ts';
export { appSchema, containerSchema, logLineSchema, type App, type AppAction, type AppPut, type AppPutInput, type AppResolve, type AppResolveInput, type Container, type LogLine, type ResolvedApp, type Service, type Volume } from './app.ts';
export { eventKinds, operationSchema, type Event, type Operation, type OperationStatus, type Step } from './operation.ts';
