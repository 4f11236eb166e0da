/** The gateway's port, as seen from the rest of the services layer. */
export type { Gateway, GatewayBackend, GatewayBind, GatewayServerStats, GatewayState } from './gateway.ts';
export { checkGatewayState, parkingServer, separateBinds } from './check-gateway-state.ts';
