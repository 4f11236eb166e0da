/** Door of the api layer. */
export { answersOn, openApi, type ApiOptions, type OpenedApi } from './open-api.ts';
export type { Backend, ChangeOptions, LogQuery, TerminalSession } from './backend.ts';
export { preconditionFailed, problemOf } from './problems.ts';
export { openBackend, operationReruns } from './layers/open-backend.ts';
export type { Layers } from './layers/layers.ts';
