/** Side door: the gateway by HAProxy; only programs enter here. */
export { openHaproxyGateway, type HaproxyGateway, type HaproxyGatewayDeps } from './open-gateway.ts';
export { renderConfig, renderHostMap, renderStructure, type HaproxyPlaces } from './render-config.ts';
