/** The edge, as seen from the rest of the services layer and from the daemon. The program itself enters by run-edge.ts. */
export { edgeStateSchema, type EdgeState } from './edge-state.ts';
export type { EdgeStats } from './edge-messages.ts';
export { openEdge, type Edge, type EdgeDeps } from './open-edge.ts';
