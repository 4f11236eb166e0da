/** What gateway, kernel and edge are told, from records alone. */
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerStatus } from '#containers';
import { sampleApp, sampleContainer, sampleService, sampleStatus } from '../testing/sample-app.ts';
import { computeTraffic } from './compute-traffic.ts';

const app = sampleApp([sampleService('web', { ports: [{ containerPort: 80, hostPort: 8080, hostAddress: '0.0.0.0', protocol: 'tcp', application: 'http' }] })]);
const [one, two] = [sampleContainer('web', 1, { address: '10.88.1.1' }), sampleContainer('web', 2, { address: '10.88.1.2' })];
const service = { appId: app.id, appName: app.name, name: 'web', virtualAddress: '10.88.9.1', parking: { 80: 30_000 } };

function told(second: Partial<ContainerStatus>) {
  const containers = [{ spec: one, status: sampleStatus(one) }, { spec: two, status: sampleStatus(two, second) }];
  const { network, gateway, edge } = computeTraffic({ apps: [app], services: [service], containers, machines: [], gatewayAddress: '10.88.0.1', hostsPort: 80, upstreamDns: [] });
  return { backends: network.virtualAddresses.map((address) => address.backends), servers: gateway.backends.map((backend) => backend.servers.map((server) => server.address)), ready: edge.parking.map((place) => place.ready.map((target) => target.address)) };
}

test('[V31] a replica that is not known to run, as in a paused machine, gets no traffic from anybody', () => {
  const both = ['10.88.1.1', '10.88.1.2'];
  deepEqual(told({}), { backends: [both], servers: [both], ready: [both] });
  const left = [['10.88.1.1']];
  deepEqual(told({ phase: 'unknown', why: 'its machine is paused' }), { backends: left, servers: left, ready: left });
});

test('[V49] a published UDP port is the edge\'s, to all ready replicas; the gateway and the kernel\'s table hear of TCP as ever', () => {
  const port = { containerPort: 53, hostPort: 5300, hostAddress: '127.0.0.1', application: 'tcp' } as const;
  const dns = sampleApp([sampleService('web', { ports: [{ ...port, protocol: 'udp' }, { ...port, protocol: 'tcp' }] })]);
  const containers = [{ spec: one, status: sampleStatus(one) }, { spec: two, status: sampleStatus(two, { health: 'unhealthy' }) }];
  const { gateway, edge } = computeTraffic({ apps: [dns], services: [{ ...service, parking: { 53: 30_001 } }], containers, machines: [], gatewayAddress: '10.88.0.1', hostsPort: 80, upstreamDns: [] });
  deepEqual(edge.datagrams, [{ id: `${dns.id}.web.127.0.0.1.5300`, address: '127.0.0.1', port: 5300, ready: [{ address: '10.88.1.1', port: 53 }], limit: 1024, idleMs: 120_000 }]);
  deepEqual(gateway.binds.map((bind) => [bind.address, bind.port]), [['127.0.0.1', 5300]]);
  deepEqual(edge.parking.map((place) => place.port), [30_001]);
});
