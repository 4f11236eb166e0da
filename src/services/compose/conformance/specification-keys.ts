/** The keys of the Compose specification (its JSON schema, 25 definitions), as a list to hold the table against. */
const under = (prefix: string, keys: string): string[] => keys.trim().split(/\s+/).map((key) => (prefix === '' ? key : `${prefix}.${key}`));
const rollout = 'parallelism delay failure_action monitor max_failure_ratio order';
const hook = 'command user privileged working_dir environment';
const grant = 'source target uid gid mode';

export const specificationKeys: readonly string[] = [
  ...under('', 'version name include services models networks volumes secrets configs'),
  ...under('include.[]', 'path env_file project_directory'),
  ...under('models.*', 'name model context_size runtime_flags'),
  ...under('services.*', `develop deploy annotations attach build blkio_config cap_add cap_drop cgroup cgroup_parent command configs container_name cpu_count cpu_percent cpu_shares cpu_quota cpu_period
    cpu_rt_period cpu_rt_runtime cpus cpuset credential_spec depends_on device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file label_file environment expose extends provider
    external_links extra_hosts gpus group_add healthcheck hostname image init ipc isolation labels links logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit network_mode models networks
    oom_kill_disable oom_score_adj pid pids_limit platform ports post_start pre_stop privileged profiles pull_policy pull_refresh_after read_only restart runtime scale security_opt shm_size secrets sysctls
    stdin_open stop_grace_period stop_signal storage_opt tmpfs tty ulimits use_api_socket user uts userns_mode volumes volumes_from working_dir`),
  ...under('services.*.build', `context dockerfile dockerfile_inline entitlements args ssh labels cache_from cache_to no_cache additional_contexts network pull target shm_size extra_hosts isolation privileged
    secrets tags ulimits platforms provenance sbom`),
  ...under('services.*.blkio_config', 'device_read_bps device_read_iops device_write_bps device_write_iops weight weight_device'),
  ...under('services.*.blkio_config.device_read_bps.[]', 'path rate'), ...under('services.*.blkio_config.weight_device.[]', 'path weight'),
  ...under('services.*.credential_spec', 'config file registry'),
  ...under('services.*.depends_on.*', 'restart required condition'),
  ...under('services.*.devices.[]', 'source target permissions'),
  ...under('services.*.extends', 'service file'),
  ...under('services.*.provider', 'type options'),
  ...under('services.*.logging', 'driver options'),
  ...under('services.*.models.*', 'endpoint_var'),
  ...under('services.*.networks.*', 'aliases interface_name ipv4_address ipv6_address link_local_ips mac_address driver_opts priority gw_priority'),
  ...under('services.*.ports.[]', 'name mode host_ip target published protocol app_protocol'),
  ...under('services.*.post_start.[]', hook), ...under('services.*.pre_stop.[]', hook),
  ...under('services.*.volumes.[]', 'type source target read_only consistency bind volume tmpfs image'),
  ...under('services.*.volumes.[].bind', 'propagation create_host_path recursive selinux'), ...under('services.*.volumes.[].volume', 'labels nocopy subpath'),
  ...under('services.*.volumes.[].tmpfs', 'size mode'), ...under('services.*.volumes.[].image', 'subpath'),
  ...under('services.*.healthcheck', 'disable interval retries test timeout start_period start_interval'),
  ...under('services.*.develop', 'watch'), ...under('services.*.develop.watch.[]', 'ignore include path action target exec'), ...under('services.*.develop.watch.[].exec', hook),
  ...under('services.*.deploy', 'mode endpoint_mode replicas labels rollback_config update_config resources restart_policy placement'),
  ...under('services.*.deploy.rollback_config', rollout), ...under('services.*.deploy.update_config', rollout),
  ...under('services.*.deploy.resources', 'limits reservations'), ...under('services.*.deploy.resources.limits', 'cpus memory pids'),
  ...under('services.*.deploy.resources.reservations', 'cpus memory generic_resources devices'),
  ...under('services.*.deploy.resources.reservations.generic_resources.[]', 'discrete_resource_spec'),
  ...under('services.*.deploy.resources.reservations.generic_resources.[].discrete_resource_spec', 'kind value'),
  ...under('services.*.deploy.resources.reservations.devices.[]', 'capabilities count device_ids driver options'),
  ...under('services.*.deploy.restart_policy', 'condition delay max_attempts window'),
  ...under('services.*.deploy.placement', 'constraints preferences max_replicas_per_node'), ...under('services.*.deploy.placement.preferences.[]', 'spread'),
  ...under('services.*.gpus.[]', 'capabilities count device_ids driver options'),
  ...under('services.*.env_file.[]', 'path format required'),
  ...under('services.*.configs.[]', grant), ...under('services.*.secrets.[]', grant),
  ...under('services.*.ulimits.*', 'hard soft'),
  ...under('networks.*', 'name driver driver_opts ipam external internal enable_ipv4 enable_ipv6 attachable labels'),
  ...under('networks.*.ipam', 'driver config options'), ...under('networks.*.ipam.config.[]', 'subnet ip_range gateway aux_addresses'), ...under('networks.*.external', 'name'),
  ...under('volumes.*', 'name driver driver_opts external labels'), ...under('volumes.*.external', 'name'),
  ...under('secrets.*', 'name environment file external labels driver driver_opts template_driver'), ...under('secrets.*.external', 'name'),
  ...under('configs.*', 'name content environment file external labels template_driver'), ...under('configs.*.external', 'name'),
];
