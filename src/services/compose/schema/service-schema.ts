/** A service of a Compose file, as the user may write it: short and long forms, texts in number places. */
import { z } from 'zod';
import { buildSchema } from './build-schema.ts';
import { deploySchema } from './deploy-schema.ts';
import { closed, command, flag, named, number, pairs, refused, text, textOrTexts, texts, value } from './field.ts';

export const portSchema = z.union([z.number(), text, closed({
  name: text.optional(), mode: text.optional(), host_ip: text.optional(), target: z.union([z.int(), text]),
  published: z.union([text, z.int()]).optional(), protocol: text.optional(), app_protocol: text.optional(),
})]);

export const mountSchema = z.union([text, closed({
  type: z.enum(['bind', 'volume', 'tmpfs', 'cluster', 'npipe', 'image']),
  source: text.optional(), target: text.optional(), read_only: flag.optional(), consistency: refused,
  bind: closed({ propagation: refused, create_host_path: flag.optional(), recursive: refused, selinux: z.enum(['z', 'Z']).optional() }).optional(),
  volume: closed({ labels: refused, nocopy: flag.optional(), subpath: text.optional() }).optional(),
  tmpfs: closed({ size: z.union([z.int().min(0), text]).optional(), mode: number.optional() }).optional(),
  image: refused,
})]);

export const grantSchema = z.union([text, closed({ source: text, target: text.optional(), uid: z.union([text, z.int()]).optional(), gid: z.union([text, z.int()]).optional(), mode: number.optional() })]);

export const healthcheckSchema = closed({
  disable: flag.optional(), test: textOrTexts.optional(), interval: text.optional(), timeout: text.optional(), retries: number.optional(),
  start_period: text.optional(), start_interval: text.optional(),
});

export const dependencySchema = closed({ condition: z.enum(['service_started', 'service_healthy', 'service_completed_successfully']).optional(), required: flag.optional(), restart: flag.optional() });

const networkUseSchema = z.union([z.null(), closed({
  aliases: texts.optional(), interface_name: refused, ipv4_address: refused, ipv6_address: refused, link_local_ips: refused, mac_address: refused,
  driver_opts: refused, priority: refused, gw_priority: refused,
})]);

const envFileSchema = z.union([text, z.array(z.union([text, closed({ path: text, required: flag.optional(), format: text.optional() })]))]);
const limit = z.union([z.int(), text]);

/** Health as Strata asks for it, from outside the container: no curl needed in the image. */
export const serviceXStrataSchema = z.strictObject({
  engine: z.enum(['auto', 'qemu', 'uml']).optional(),
  isolation: z.enum(['shared', 'dedicated']).optional(),
  least_isolation: z.enum(['process', 'emulated', 'hardware']).optional(),
  start: z.enum(['ordinary', 'clone']).optional(),
  after_clone: command.optional(),
  workload: z.enum(['compute', 'requests', 'processes']).optional(),
  health: z.strictObject({
    http: z.strictObject({ port: number, path: text.optional() }).optional(),
    tcp: z.strictObject({ port: number }).optional(),
  }).optional(),
});

export const serviceSchema = closed({
  image: text.optional(), build: buildSchema.optional(), platform: text.optional(), pull_policy: text.optional(),
  command: command.optional(), entrypoint: command.optional(), working_dir: text.optional(), user: text.optional(), group_add: z.array(z.union([text, z.number()])).optional(),
  environment: pairs.optional(), env_file: envFileSchema.optional(), labels: pairs.optional(), label_file: textOrTexts.optional(),
  hostname: text.optional(), container_name: text.optional(), extra_hosts: z.union([z.record(text, textOrTexts), texts]).optional(), dns: textOrTexts.optional(),
  networks: z.union([texts, named(networkUseSchema)]).optional(), links: texts.optional(),
  ports: z.array(portSchema).optional(), expose: z.array(z.union([text, z.number()])).optional(),
  volumes: z.array(mountSchema).optional(), tmpfs: textOrTexts.optional(), configs: z.array(grantSchema).optional(), secrets: z.array(grantSchema).optional(),
  depends_on: z.union([texts, named(dependencySchema)]).optional(), healthcheck: healthcheckSchema.optional(), restart: text.optional(), profiles: texts.optional(),
  deploy: deploySchema.optional(), scale: number.optional(),
  cpus: number.optional(), mem_limit: number.optional(), mem_reservation: number.optional(), pids_limit: number.optional(), shm_size: number.optional(),
  ulimits: z.record(z.string().regex(/^[a-z]+$/), z.union([limit, closed({ soft: limit, hard: limit })])).optional(), sysctls: pairs.optional(),
  cap_add: texts.optional(), cap_drop: texts.optional(), privileged: flag.optional(), read_only: flag.optional(), init: flag.optional(), tty: flag.optional(),
  stop_grace_period: text.optional(), stop_signal: text.optional(), logging: closed({ driver: text.optional(), options: z.record(text, value).optional() }).optional(),
  extends: z.union([text, closed({ service: text, file: text.optional() })]).optional(),
  attach: flag.optional(), develop: z.unknown().optional(), 'x-strata': serviceXStrataSchema.optional(),
  // Refused: conformance.ts says why.
  annotations: refused, blkio_config: refused, cgroup: refused, cgroup_parent: refused, cpu_count: refused, cpu_percent: refused, cpu_shares: refused, cpu_quota: refused,
  cpu_period: refused, cpu_rt_period: refused, cpu_rt_runtime: refused, cpuset: refused, credential_spec: refused, device_cgroup_rules: refused, devices: refused, dns_opt: refused,
  dns_search: refused, domainname: refused, external_links: refused, gpus: refused, ipc: refused, isolation: refused, mac_address: refused, mem_swappiness: refused,
  memswap_limit: refused, models: refused, network_mode: refused, oom_kill_disable: refused, oom_score_adj: refused, pid: refused, post_start: refused, pre_stop: refused,
  provider: refused, pull_refresh_after: refused, runtime: refused, security_opt: refused, stdin_open: refused, storage_opt: refused, use_api_socket: refused, userns_mode: refused,
  uts: refused, volumes_from: refused,
});
export type ServiceSource = z.infer<typeof serviceSchema>;
