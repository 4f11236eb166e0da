/** Every verb of `strata`, as data; the code behind each is loaded when it is called. */
import { answerOption, detach, operationOptions, quietOptions } from './answer-options.ts';
import { diskVerbs } from './disk-verbs.ts';
import { machineVerbs } from './machine-verbs.ts';
import type { Option, Verb } from './verb.ts';

export const outputOptions: readonly Option[] = [
  { flags: '-o, --output <format>', summary: 'how to print', choices: ['table', 'wide', 'json', 'yaml', 'name', 'jsonl'] },
  { flags: '--json', summary: 'the same as -o json' },
  { flags: '--no-headers', summary: 'leave out the heading of a table' },
  { flags: '--no-trunc', summary: 'do not shorten long texts of a table' },
];

/** Which app is meant: by name, by file, else by the Compose file in the working folder. */
export const appOptions: readonly Option[] = [
  { flags: '-f, --file <path>', summary: 'Compose file (several: later ones override)', many: true, completion: 'file' },
  { flags: '-p, --project-name <name>', summary: 'name of the app', completion: 'app' },
];

const composeOptions: readonly Option[] = [
  ...appOptions,
  { flags: '--profile <name>', summary: 'switch a profile on', many: true },
  { flags: '--env-file <path>', summary: 'variables for interpolation instead of .env', many: true, completion: 'file' },
];

const execOptions: readonly Option[] = [
  { flags: '-T, --no-tty', summary: 'no terminal' },
  { flags: '-t, --tty', summary: 'a terminal even where stdin is none' },
  { flags: '-i, --interactive', summary: 'keep stdin open (the default)' },
  { flags: '-u, --user <user>', summary: 'user or uid, with :group' },
  { flags: '-w, --workdir <path>', summary: 'working folder' },
  { flags: '-e, --env <name=value>', summary: 'set a variable', many: true },
];

const appVerbs: readonly Verb[] = [
  {
    name: 'up', args: '[folder-or-service...]', completion: 'service', summary: 'bring an app up as its Compose file says, and wait until it is healthy',
    options: [
      ...composeOptions,
      detach,
      { flags: '--build', summary: 'build images even if they exist' },
      { flags: '--force-recreate', summary: 'replace containers that are as wished' },
      { flags: '--pull <policy>', summary: 'when to pull images', choices: ['always', 'missing', 'never'] },
      { flags: '--remove-orphans', summary: 'remove containers of services that the file no longer has' },
      { flags: '--wait', summary: 'wait until healthy (the default)' },
      { flags: '--timeout <seconds>', summary: 'limit for all to become healthy (default 600)', whole: true },
      { flags: '--dry-run', summary: 'show what would be done, and do nothing' },
      ...quietOptions,
    ],
    operations: ['resolveApp', 'putApp', 'getApp', 'followOperation', 'cancelOperation'],
    examples: ['strata up', 'strata up examples/guestbook', 'strata up -f compose.yaml -p shop web api'],
    load: () => import('./verbs/up.ts'),
  },
  {
    name: 'down', args: '[folder]', completion: 'folder', summary: 'take an app down; its volumes stay',
    options: [...appOptions, { flags: '-v, --volumes', summary: 'remove its named volumes too' }, { flags: '--timeout <seconds>', summary: 'grace for each container', whole: true }, ...operationOptions],
    operations: ['removeApp'], examples: ['strata down', 'strata down -v -p shop'], load: () => import('./verbs/down.ts'),
  },
  ...(['start', 'stop', 'restart'] as const).map((name): Verb => ({
    name, args: '[service...]', completion: 'service', summary: { start: 'start stopped services', stop: 'stop services without removing them', restart: 'restart services' }[name],
    options: [...appOptions, { flags: '--timeout <seconds>', summary: 'grace for each container', whole: true }, ...quietOptions],
    operations: [`${name}App`], load: () => import('./verbs/change-services.ts').then(({ changeServices }) => ({ run: (invocation) => changeServices(name, invocation) })),
  })),
  {
    name: 'ps', resident: true, args: '[service...]', completion: 'service', summary: 'list containers: of the app at hand, else of all apps',
    options: [...appOptions, { flags: '-a, --all', summary: 'of all apps, ended ones too' }, { flags: '-q, --quiet', summary: 'ids only' }, ...outputOptions],
    operations: ['listAppContainers', 'listContainers', 'listApps', 'getApp', 'resolveApp'], examples: ['strata ps', 'strata ps -a -o json'], load: () => import('./verbs/ps.ts'),
  },
  {
    name: 'logs', args: '[service...]', completion: 'service', summary: 'show what containers printed',
    options: [
      // -f means follow here, as in docker; the file is given by its long name.
      { flags: '--file <path>', summary: 'Compose file (several: later ones override)', many: true, completion: 'file' },
      { flags: '-p, --project-name <name>', summary: 'name of the app', completion: 'app' },
      { flags: '-f, --follow', summary: 'go on as more comes' },
      { flags: '-n, --tail <lines>', summary: 'only the last lines of each container (or all)' },
      { flags: '--since <time>', summary: '10m, or an RFC 3339 time' },
      { flags: '-t, --timestamps', summary: 'show times' },
      { flags: '--no-log-prefix', summary: 'leave out the container\'s name' },
      { flags: '-o, --output <format>', summary: 'how to print', choices: ['text', 'jsonl', 'json'] },
    ],
    operations: ['getAppLogs'], examples: ['strata logs -f web', 'strata logs --since 10m'], load: () => import('./verbs/logs.ts'),
  },
  {
    name: 'exec', args: '<service> <command...>', completion: 'service', passThrough: true, summary: 'run a command in a container of a service',
    options: [...appOptions, ...execOptions, { flags: '--index <number>', summary: 'which replica, from 1', whole: true }],
    operations: ['execInContainer', 'listAppContainers', 'getApp'], examples: ['strata exec web sh', 'strata exec -T db redis-cli ping'], load: () => import('./verbs/exec.ts'),
  },
  {
    name: 'config', resident: true, args: '[folder]', completion: 'folder', summary: 'check Compose files and print the resolved project',
    options: [...composeOptions, { flags: '--services', summary: 'print the services\' names' }, { flags: '--volumes', summary: 'print the volumes\' names' }, { flags: '--images', summary: 'print the images' }, { flags: '-q, --quiet', summary: 'only check' }, { flags: '-o, --output <format>', summary: 'how to print', choices: ['yaml', 'json'] }],
    operations: ['resolveApp'], load: () => import('./verbs/config.ts'),
  },
  { name: 'app ls', resident: true, alias: 'list', summary: 'list apps', options: outputOptions, operations: ['listApps'], load: () => import('./verbs/app-ls.ts') },
  { name: 'app inspect', resident: true, alias: 'show', args: '<app>', completion: 'app', summary: 'show an app', options: outputOptions, operations: ['getApp'], load: () => import('./verbs/inspect.ts').then(({ inspect }) => ({ run: inspect('getApp', 'app') })) },
  { name: 'inspect', resident: true, args: '<container>', completion: 'container', summary: 'show a container', options: outputOptions, operations: ['getContainer'], load: () => import('./verbs/inspect.ts').then(({ inspect }) => ({ run: inspect('getContainer', 'container') })) },
  { name: 'volume ls', resident: true, alias: 'list', summary: 'list volumes', options: outputOptions, operations: ['listVolumes'], load: () => import('./verbs/volume-ls.ts') },
];

const imageVerbs: readonly Verb[] = [
  { name: 'image ls', resident: true, alias: 'list', summary: 'list images', options: [...outputOptions, { flags: '-q, --quiet', summary: 'digests only' }], operations: ['listImages'], load: () => import('./verbs/image-ls.ts') },
  { name: 'image import', args: '<archive> [reference]', completion: 'file', summary: 'import an image archive or OCI layout', options: quietOptions, operations: ['importImage'], load: () => import('./verbs/image-import.ts') },
  { name: 'image pull', args: '<reference>', summary: 'pull an image from a registry', options: [{ flags: '--platform <platform>', summary: 'linux/arm64; default: the host\'s' }, ...quietOptions], operations: ['pullImage'], load: () => import('./verbs/image-pull.ts') },
  { name: 'image rm', alias: 'delete', args: '<image...>', completion: 'image', summary: 'remove images that nothing uses', options: [answerOption], operations: ['removeImage'], load: () => import('./verbs/image-rm.ts') },
];

const daemonVerbs: readonly Verb[] = [
  { name: 'host ls', resident: true, alias: 'list', summary: 'list hosts', options: outputOptions, operations: ['listHosts'], load: () => import('./verbs/host-ls.ts') },
  { name: 'host inspect', resident: true, alias: 'show', args: '[host]', completion: 'host', summary: 'show a host (default: this one)', options: outputOptions, operations: ['getHost'], load: () => import('./verbs/host-inspect.ts') },
  { name: 'pool ls', resident: true, alias: 'list', summary: 'list machines that ran once and stand still until a start takes them', options: outputOptions, operations: ['listPool'], load: () => import('./verbs/pool-ls.ts') },
  { name: 'engine ls', resident: true, alias: 'list', summary: 'list what runs machines here', options: outputOptions, operations: ['listEngines'], load: () => import('./verbs/engine-ls.ts') },
  { name: 'engine describe', resident: true, alias: 'inspect', args: '<engine>', completion: 'engine', summary: 'what an engine was proved to run here, what it can do, and why not', options: outputOptions, operations: ['getEngine'], examples: ['strata engine describe qemu'], load: () => import('./verbs/engine-describe.ts') },
  { name: 'doctor', summary: 'what the host has, lacks and has proved', options: outputOptions, operations: ['getDoctor'], load: () => import('./verbs/doctor.ts') },
  { name: 'metrics', resident: true, summary: 'print what monitoring systems keep, in the text format of Prometheus', operations: ['getMetrics'], examples: ['strata metrics > /var/lib/prometheus/node-exporter/strata.prom'], load: () => import('./verbs/metrics.ts') },
  { name: 'operation ls', resident: true, alias: 'list', summary: 'list operations, the newest first', options: [...outputOptions, { flags: '--limit <number>', summary: 'at most so many (default 20)', whole: true }], operations: ['listOperations'], load: () => import('./verbs/operation-ls.ts') },
  { name: 'operation show', alias: 'inspect', args: '<operation>', completion: 'operation', summary: 'show an operation with its steps', options: [...outputOptions, { flags: '-f, --follow', summary: 'until it has ended' }], operations: ['getOperation', 'followOperation'], load: () => import('./verbs/operation-show.ts') },
  { name: 'operation cancel', args: '<operation>', completion: 'operation', summary: 'ask an operation to stop and undo what it can', options: [answerOption], operations: ['cancelOperation'], load: () => import('./verbs/operation-cancel.ts') },
  { name: 'events', summary: 'print changes as they happen, one JSON value a line', options: [{ flags: '--since <revision>', summary: 'changes after that revision', whole: true }], operations: ['watchEvents'], load: () => import('./verbs/events.ts') },
  {
    name: 'serve', summary: 'run the daemon in the foreground', options: [{ flags: '--pool <number>', summary: 'paused machines kept ready of each size that was started of late (default 2, 0 for none)', whole: true }, { flags: '--stop', summary: 'end the daemon instead; machines go on, and the next command starts it again' }, { flags: '--all', summary: 'with --stop, where no machine runs: end gateway, edge, templates and network too' }, { flags: '--install', summary: 'write and start a systemd unit instead' }, { flags: '--print-unit', summary: 'print the systemd unit' }],
    operations: ['listMachines'], examples: ['strata serve --stop', 'strata serve --stop --all', 'strata serve --install'], load: () => import('./verbs/serve.ts'),
  },
  { name: 'version', resident: true, summary: 'versions of the command and the daemon', options: [{ flags: '-o, --output <format>', summary: 'how to print', choices: ['text', 'json', 'yaml'] }], operations: ['getVersion'], load: () => import('./verbs/version.ts') },
  { name: 'completion', args: '<shell>', summary: 'print a completion script: bash, zsh or fish', operations: [], examples: ['source <(strata completion bash)'], load: () => import('./verbs/completion.ts') },
];

export const verbs: readonly Verb[] = [...appVerbs, ...imageVerbs, ...machineVerbs(outputOptions, execOptions), ...diskVerbs(outputOptions), ...daemonVerbs];

export const nounSummaries: Readonly<Record<string, string>> = {
  app: 'apps: what `up` brings up', image: 'OCI images', machine: 'virtual machines', 'machine snapshot': 'what machines were, to come back to', backend: 'processes that serve disks to machines', disk: 'disks of machines', 'disk snapshot': 'what a disk was, to come back to', host: 'hosts of the pool', engine: 'what runs machines', pool: 'paused machines that stand ready', volume: 'disks of services', operation: 'long work',
};
