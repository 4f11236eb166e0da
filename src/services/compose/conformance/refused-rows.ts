/** Keys of a service that are refused, each with its reason. Examples are what the service `web` holds beside its image. */
import { at, type ConformanceRow } from './row.ts';

const service = at('services.*');
const build = at('services.*.build');
const deploy = at('services.*.deploy');
const mount = at('services.*.volumes.[]');
const network = at('services.*.networks.*');

const dockerfile = 'building from a Dockerfile is not possible yet';
const oneHost = 'there is one host, and nothing to choose between';
const notYet = 'it is not possible yet';
const cpu = 'a container\'s share of processors is set by cpus alone';
const devices = 'a virtual machine does not see the host\'s devices';
const namespaces = 'containers of an app run in virtual machines, and share no namespace with the host or each other';
const block = 'limits of disk traffic are not possible yet';
const address = 'addresses are given by Strata';
const oneNetwork = 'the services of an app share one network, which Strata lays out by itself';

const buildKeys = {
  additional_contexts: '{a: .}', args: '{A: b}', cache_from: '[a]', cache_to: '[a]', entitlements: '[a]', extra_hosts: '["a=10.0.0.1"]', isolation: 'x', labels: '{a: b}', network: 'host',
  no_cache: 'true', platforms: '[linux/amd64]', privileged: 'true', provenance: 'true', pull: 'true', sbom: 'true', secrets: '[a]', shm_size: '1m', ssh: '[default]', tags: '[a]', target: 'a', ulimits: '{nproc: 1}',
} as const;

/** What Strata does on every update; asking for it asks for nothing. */
const updates: readonly (readonly [string, string, string, readonly unknown[]])[] = [
  ['parallelism', '2', 'replicas are replaced one at a time for now', [1, '1']],
  ['order', 'stop-first', 'the order follows from the service: start-first, or stop-first where it has a volume', ['start-first']],
  ['delay', '10s', notYet, ['0s', '0']],
  ['monitor', '10s', notYet, ['0s', '0']],
  ['failure_action', 'rollback', notYet, ['pause']],
  ['max_failure_ratio', '0.5', notYet, [0, '0']],
];

export const refusedRows: readonly ConformanceRow[] = [
  ...Object.entries(buildKeys).map(([key, value]) => build.refused(key, `build: {context: ., ${key}: ${value}}`, dockerfile, 'take it out; a Debian recipe under x-strata knows nothing of it', [false, 'false'])),

  service.refused('annotations', 'annotations: {a: b}', 'containers carry no annotations', 'use labels', [{}, []]),
  service.refused('blkio_config', 'blkio_config: {weight: 300}', block, '', [{}]),
  service.refused('cgroup', 'cgroup: host', namespaces, '', ['private']),
  service.refused('cgroup_parent', 'cgroup_parent: a', namespaces),
  service.refused('cpu_count', 'cpu_count: 2', cpu, 'use cpus'),
  service.refused('cpu_percent', 'cpu_percent: 50', cpu, 'use cpus'),
  service.refused('cpu_shares', 'cpu_shares: 512', cpu, 'use cpus'),
  service.refused('cpu_quota', 'cpu_quota: 50000', cpu, 'use cpus'),
  service.refused('cpu_period', 'cpu_period: 100000', cpu, 'use cpus'),
  service.refused('cpu_rt_period', 'cpu_rt_period: 10ms', 'there is no real time in a virtual machine'),
  service.refused('cpu_rt_runtime', 'cpu_rt_runtime: 10ms', 'there is no real time in a virtual machine'),
  service.refused('cpuset', 'cpuset: 0-1', 'the processors of a virtual machine are not those of the host', 'use cpus'),
  service.refused('credential_spec', 'credential_spec: {file: a.json}', 'it is for Windows containers'),
  service.refused('device_cgroup_rules', 'device_cgroup_rules: ["c 1:3 mr"]', devices, '', [[]]),
  service.refused('devices', 'devices: ["/dev/fuse:/dev/fuse"]', devices, '', [[]]),
  service.refused('dns_opt', 'dns_opt: [use-vc]', 'the resolver\'s options are Strata\'s', '', [[]]),
  service.refused('dns_search', 'dns_search: example.org', 'the search domain is the app\'s', 'use full names', [[]]),
  service.refused('domainname', 'domainname: example.org', 'the domain is the app\'s', 'use hostname'),
  service.refused('external_links', 'external_links: [a]', 'apps cannot reach each other', 'reach it through a published port', [[]]),
  service.refused('gpus', 'gpus: all', devices, '', [[]]),
  service.refused('ipc', 'ipc: host', namespaces, '', ['private', 'shareable']),
  service.refused('isolation', 'isolation: hyperv', 'it is for Windows containers', 'use x-strata: {isolation: dedicated} for a machine of its own', ['default']),
  service.refused('mac_address', 'mac_address: 02:42:ac:11:65:43', address),
  service.refused('mem_swappiness', 'mem_swappiness: 0', 'virtual machines do not swap', ''),
  service.refused('memswap_limit', 'memswap_limit: 1g', 'virtual machines do not swap', 'use mem_limit'),
  service.refused('models', 'models: [llm]', 'Strata runs no language models by itself', 'run one as a service', [{}, []]),
  service.refused('network_mode', 'network_mode: host', 'every container has an address of its own', 'publish ports instead'),
  service.refused('oom_kill_disable', 'oom_kill_disable: true', 'a container that takes more memory than it may is ended', 'raise its memory limit', [false, 'false']),
  service.refused('oom_score_adj', 'oom_score_adj: 500', notYet, '', [0, '0']),
  service.refused('pid', 'pid: host', namespaces, '', [null]),
  service.refused('post_start', 'post_start: [{command: a}]', notYet, 'do it in the command, or in a service that others wait for', [[]]),
  service.refused('pre_stop', 'pre_stop: [{command: a}]', notYet, 'do it on the stop signal', [[]]),
  service.refused('provider', 'provider: {type: a}', 'Strata starts no programs of the host for a file'),
  service.refused('pull_refresh_after', 'pull_refresh_after: 24h', notYet, 'use pull_policy: always'),
  service.refused('runtime', 'runtime: runsc', 'containers run in virtual machines, started by the guest OS itself', 'use x-strata: {isolation: dedicated} for more isolation'),
  service.refused('security_opt', 'security_opt: [seccomp=unconfined]', notYet, 'take it out: the wall is the virtual machine', [[]]),
  service.refused('stdin_open', 'stdin_open: true', 'a container has nobody at its input', 'use `strata exec -it`', [false, 'false']),
  service.refused('storage_opt', 'storage_opt: {size: 1G}', 'a container writes into its machine\'s scratch disk', 'use a volume with x-strata: {size: ...}', [{}]),
  service.refused('use_api_socket', 'use_api_socket: true', 'there is no Docker to speak to', '', [false]),
  service.refused('userns_mode', 'userns_mode: host', namespaces),
  service.refused('uts', 'uts: host', namespaces),
  service.refused('volumes_from', 'volumes_from: [other]', 'a volume belongs to one container', 'name the volume', [[]]),

  ...updates.flatMap(([key, value, why, harmless]) => ['update_config', 'rollback_config'].map((part) => deploy.refused(`${part}.${key}`, `deploy: {${part}: {${key}: ${value}}}`, why, 'take it out', harmless))),
  deploy.refused('labels', 'deploy: {labels: {a: b}}', 'a service has no labels of its own', 'use labels of the service, which its containers carry', [{}, []]),
  deploy.refused('placement.constraints', 'deploy: {placement: {constraints: [node.role==manager]}}', oneHost, '', [[]]),
  deploy.refused('placement.preferences', 'deploy: {placement: {preferences: [{spread: node.labels.zone}]}}', oneHost, '', [[]]),
  deploy.refused('placement.max_replicas_per_node', 'deploy: {placement: {max_replicas_per_node: 1}}', oneHost, '', [0, '0']),
  deploy.refused('resources.reservations.devices', 'deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}', devices, '', [[]]),
  deploy.refused('resources.reservations.generic_resources', 'deploy: {resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: a, value: 1}}]}}}', oneHost, '', [[]]),
  deploy.refused('restart_policy.delay', 'deploy: {restart_policy: {delay: 5s}}', 'the pause before a restart grows by itself, from a moment to a minute', 'take it out'),
  deploy.refused('restart_policy.window', 'deploy: {restart_policy: {window: 60s}}', notYet, 'take it out'),

  mount.refused('consistency', 'volumes: [{type: volume, source: data, target: /data, consistency: cached}]', 'it means nothing here', 'take it out', ['consistent', 'default']),
  mount.refused('bind.propagation', 'volumes: [{type: bind, source: ./more.env, target: /m, read_only: true, bind: {propagation: shared}}]', 'a copy has nothing to propagate', 'take it out', ['rprivate', 'private']),
  mount.refused('bind.recursive', 'volumes: [{type: bind, source: ./more.env, target: /m, read_only: true, bind: {recursive: disabled}}]', 'a single file has nothing below it', 'take it out', ['enabled']),
  mount.refused('volume.labels', 'volumes: [{type: volume, source: data, target: /data, volume: {labels: {a: b}}}]', 'labels belong to the volume', 'write them under the top-level volumes', [{}, []]),
  mount.refused('image', 'volumes: [{type: image, source: b, target: /data, image: {subpath: a}}]', 'an image cannot be mounted into a container yet', '', [{}]),
  ...([['interface_name', 'eth7'], ['ipv4_address', '10.0.0.9'], ['ipv6_address', '2001:db8::1'], ['link_local_ips', '[169.254.1.1]'], ['mac_address', '02:42:ac:11:65:43']] as const)
    .map(([key, value]) => network.refused(key, `networks: {default: {${key}: ${value}}}`, address, 'use names instead of addresses', [[]])),
  network.refused('driver_opts', 'networks: {default: {driver_opts: {a: b}}}', oneNetwork, '', [{}]),
  network.refused('priority', 'networks: {default: {priority: 10}}', oneNetwork, 'take it out', [0]),
  network.refused('gw_priority', 'networks: {default: {gw_priority: 10}}', oneNetwork, 'take it out', [0]),
];
