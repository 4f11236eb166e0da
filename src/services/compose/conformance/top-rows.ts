/** Rows of the top level: the project, its volumes, networks, configs and secrets. Examples are whole files. */
import { at, type ConformanceRow } from './row.ts';

const web = 'services: {web: {image: "a:1"}}';
const withVolume = (volume: string): string => `services: {web: {image: "a:1", volumes: ["data:/d"]}}\nvolumes: {data: ${volume}}`;
const withNetwork = (network: string): string => `services: {web: {image: "a:1", networks: [back]}}\nnetworks: {back: ${network}}`;
const withConfig = (config: string): string => `services: {web: {image: "a:1", configs: [one]}}\nconfigs: {one: ${config}}`;
const withSecret = (secret: string): string => `services: {web: {image: "a:1", secrets: [one]}}\nsecrets: {one: ${secret}}`;

const top = at('');
const include = at('include.[]');
const volume = at('volumes.*');
const network = at('networks.*');
const config = at('configs.*');
const secret = at('secrets.*');

const external = 'what was made outside of the app cannot be taken in yet';
const oneNetwork = 'the services of an app share one network, which Strata lays out by itself';

export const topRows: readonly ConformanceRow[] = [
  top.partly('version', `version: "3.9"\n${web}`, 'Has no meaning any more, as the specification says.'),
  top.partly('name', `name: my-shop\n${web}`, 'An RFC 1123 label; an underscore becomes a hyphen, with a warning.'),
  top.honoured('services', web, 'Names are RFC 1123 labels, since each is a host name.'),
  top.honoured('services.*', web),
  top.honoured('include', `include: [more.yaml]\n${web}`, 'What both projects name is an error, unless it is the same.'),
  include.honoured('path', `include: [{path: more.yaml}]\n${web}`),
  include.honoured('env_file', `include: [{path: more.yaml, env_file: more.env}]\n${web}`),
  include.honoured('project_directory', `include: [{path: more.yaml, project_directory: .}]\n${web}`),
  top.refused('models', `models: {llm: {model: ai/x}}\n${web}`, 'Strata runs no language models by itself', 'run one as a service'),

  top.honoured('volumes', withVolume('{}'), 'A volume is an ext4 disk of its own, mounted by one service with one replica. Volumes that no service mounts are not made.'),
  top.honoured('volumes.*', withVolume('{}')),
  volume.partly('driver', withVolume('{driver: local}'), 'Only `local`.'),
  volume.honoured('labels', withVolume('{labels: {a: b}}')),
  volume.honoured('x-strata', withVolume('{x-strata: {size: 1g}}'), 'Ours.'),
  volume.honoured('x-strata.size', withVolume('{x-strata: {size: 1g}}'), 'Size of the disk, 8 GiB by default; it takes room as it is filled.'),
  volume.partly('name', withVolume('{name: other}'), 'Not used, with a warning: a volume belongs to its app, and is called app_key.'),
  volume.refused('driver_opts', withVolume('{driver_opts: {type: nfs}}'), 'a volume is a disk of its own, not a mount of the host', 'reach shared storage over the network', [{}]),
  volume.refused('external', withVolume('{external: true}'), external, 'take `external` out, and the volume is made', [false, 'false']),

  top.partly('networks', withNetwork('{}'), 'Aliases are honoured. All services of an app can reach each other: services that share no network get a warning. Apps cannot reach each other.'),
  top.partly('networks.*', withNetwork('{}')),
  network.partly('name', withNetwork('{name: other}'), 'Not used: no network is shared between apps.'),
  network.partly('driver', withNetwork('{driver: bridge}'), 'Only `bridge` and `default`.'),
  network.partly('labels', withNetwork('{labels: {a: b}}'), 'Shown by `strata config`; a network is no object of its own.'),
  network.refused('driver_opts', withNetwork('{driver_opts: {a: b}}'), oneNetwork, 'take it out', [{}]),
  network.refused('ipam', withNetwork('{ipam: {config: [{subnet: 10.1.0.0/16}]}}'), oneNetwork, 'use names instead of addresses', [{}, { driver: 'default' }]),
  network.refused('external', withNetwork('{external: true}'), external, 'put the services into one app', [false, 'false']),
  network.refused('internal', withNetwork('{internal: true}'), 'a network that is cut off from the outside is not possible yet', '', [false, 'false']),
  network.refused('enable_ipv4', withNetwork('{enable_ipv4: false}'), oneNetwork, '', [true, 'true']),
  network.refused('enable_ipv6', withNetwork('{enable_ipv6: true}'), 'containers have no IPv6 yet', '', [false, 'false']),
  network.refused('attachable', withNetwork('{attachable: true}'), 'there are no containers outside of apps', '', [false, 'false']),

  top.honoured('configs', withConfig('{content: x}'), 'Files in the container, read when the file is read; at most 1 MiB each.'),
  top.honoured('configs.*', withConfig('{content: x}')),
  config.honoured('content', withConfig('{content: x}')),
  config.honoured('environment', withConfig('{environment: HOME}')),
  config.honoured('file', withConfig('{file: more.env}')),
  config.partly('name', withConfig('{content: x, name: other}'), 'Not used: a config belongs to its app.'),
  config.partly('labels', withConfig('{content: x, labels: {a: b}}'), 'Shown by `strata config`; a config is no object of its own.'),
  config.refused('external', withConfig('{external: true}'), external, 'use file: or content:', [false, 'false']),
  config.refused('template_driver', withConfig('{content: x, template_driver: golang}'), 'there are no template drivers', 'use variables: ${NAME}'),

  top.honoured('secrets', withSecret('{file: more.env}'), 'Files in the memory of the guest, only in the containers that list them; shown nowhere.'),
  top.honoured('secrets.*', withSecret('{file: more.env}')),
  secret.honoured('environment', withSecret('{environment: HOME}')),
  secret.honoured('file', withSecret('{file: more.env}')),
  secret.partly('name', withSecret('{environment: HOME, name: other}'), 'Not used: a secret belongs to its app.'),
  secret.partly('labels', withSecret('{environment: HOME, labels: {a: b}}'), 'Shown by `strata config`; a secret is no object of its own.'),
  secret.refused('content', withSecret('{content: x}'), 'a secret in the file itself would be none', 'use file: or environment:'),
  secret.refused('external', withSecret('{external: true}'), external, 'use file: or environment:', [false, 'false']),
  secret.refused('driver', withSecret('{environment: HOME, driver: vault}'), 'there are no secret drivers', 'use file: or environment:'),
  secret.refused('driver_opts', withSecret('{environment: HOME, driver_opts: {a: b}}'), 'there are no secret drivers', '', [{}]),
  secret.refused('template_driver', withSecret('{environment: HOME, template_driver: golang}'), 'there are no template drivers', 'use variables: ${NAME}'),
];
