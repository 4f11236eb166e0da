/** Door of the services layer. */
export type { AppSpec, FileMount, PublishedPort, ServiceMount, ServiceProbe, ServiceSpec, VolumeSpec } from './app.ts';
export { appRecordSchema, appStatusSchema, type AppRecord, type AppStatus, type ServiceRecord } from './app-record.ts';
export { type MachineWish, type RunEngine } from './assign-machines.ts';
export type { Steps } from './await-services.ts';
export type { BringUpRequest } from './bring-up-app.ts';
export { readComposeApp, renderYaml, type ComposeApp, type ComposeDiagnostic, type ComposeRequest } from './compose/read-compose-app.ts';
export type { EngineOffer } from './engines/choose-service-engine.ts';
export { openServices, type Services, type ServicesDeps } from './open-services.ts';
export type { Gateway, GatewayBackend, GatewayBind, GatewayState } from './gateway/gateway.ts';
export { openEdge, type Edge, type EdgeDeps } from './edge/index.ts';
