/** The verbs of `strata machine`, as data. */
import { answerOption, operationOptions } from './answer-options.ts';
import type { Option, Verb } from './verb.ts';

const force: Option = { flags: '--force', summary: 'cut the power instead of asking the guest' };
const wait: readonly Option[] = [{ flags: '-d, --detach', summary: 'do not wait' }, { flags: '--timeout <seconds>', summary: 'limit for the wait (default 120)', whole: true }];

export const machineVerbs = (outputOptions: readonly Option[], execOptions: readonly Option[]): readonly Verb[] => [
  {
    name: 'machine create', args: '<name>', summary: 'make and start a machine',
    options: [
      { flags: '--arch <architecture>', summary: 'default: the host\'s', choices: ['x86_64', 'aarch64', 'amd64', 'arm64'] },
      { flags: '--engine <engine>', summary: 'what runs it', choices: ['auto', 'qemu', 'uml'] },
      { flags: '-c, --cpus <number>', summary: 'processors (default 1)', whole: true },
      { flags: '-m, --memory <size>', summary: '512M, 2G (default 256M); a number alone counts MiB' },
      { flags: '--scratch <size>', summary: 'disk for what is written inside (default 1G; a number alone counts MiB)' },
      { flags: '--disk <disk>', summary: 'a further disk: name,size=2G (a number alone counts MiB) or name,from=file; with ,backend=vhost-user a process of its own serves it', many: true },
      { flags: '--no-start', summary: 'only define it' },
      ...wait, { ...answerOption, summary: 'how to print the machine; as json or yaml once it is as wished' },
    ],
    fields: { processors: 'cpus' }, operations: ['createMachine', 'getMachine'], examples: ['strata machine create box -m 512M', 'strata machine create arm --arch aarch64', 'strata machine create box --disk data,size=2G,backend=vhost-user'], load: () => import('./verbs/machine-create.ts'),
  },
  { name: 'machine ls', resident: true, alias: 'list', summary: 'list machines', options: [...outputOptions, { flags: '-q, --quiet', summary: 'ids only' }], operations: ['listMachines'], load: () => import('./verbs/machine-ls.ts') },
  { name: 'machine inspect', resident: true, alias: 'show', args: '<machine>', completion: 'machine', summary: 'show a machine', options: outputOptions, operations: ['getMachine'], load: () => import('./verbs/inspect.ts').then(({ inspect }) => ({ run: inspect('getMachine', 'machine') })) },
  { name: 'machine start', args: '<machine...>', completion: 'machine', summary: 'start machines', options: wait, operations: ['startMachine'], load: () => import('./verbs/machine-change.ts').then(({ changeMachines }) => ({ run: changeMachines('startMachine') })) },
  { name: 'machine stop', args: '<machine...>', completion: 'machine', summary: 'stop machines', options: [force, ...wait], operations: ['stopMachine'], load: () => import('./verbs/machine-change.ts').then(({ changeMachines }) => ({ run: changeMachines('stopMachine') })) },
  { name: 'machine restart', args: '<machine...>', completion: 'machine', summary: 'restart machines', options: [force, ...wait], operations: ['restartMachine'], load: () => import('./verbs/machine-change.ts').then(({ changeMachines }) => ({ run: changeMachines('restartMachine') })) },
  {
    name: 'machine pause', args: '<machine...>', completion: 'machine', summary: 'let machines stand still, with all they have in memory', options: wait, operations: ['pauseMachine'],
    load: () => import('./verbs/machine-change.ts').then(({ changeMachines }) => ({ run: changeMachines('pauseMachine') })),
  },
  {
    name: 'machine suspend', args: '<machine...>', completion: 'machine', summary: 'write machines\' memory to disk and give the host its own back', options: wait, operations: ['suspendMachine'],
    load: () => import('./verbs/machine-change.ts').then(({ changeMachines }) => ({ run: changeMachines('suspendMachine') })),
  },
  { name: 'machine resume', args: '<machine...>', completion: 'machine', summary: 'let paused or suspended machines go on', options: wait, operations: ['resumeMachine', 'getMachine'], load: () => import('./verbs/machine-change.ts').then(({ changeMachines }) => ({ run: changeMachines('resumeMachine') })) },
  {
    name: 'machine snapshot create', args: '<machine> [name]', completion: 'machine', summary: 'keep what a machine has on its disks, and with --memory all of it',
    options: [{ flags: '--memory', summary: 'with what it has in memory: a restore goes on from there' }, ...operationOptions],
    operations: ['createSnapshot'], examples: ['strata machine snapshot create box --memory', 'strata machine snapshot create box before-upgrade --memory'], load: () => import('./verbs/machine-copies.ts').then(({ createSnapshot }) => ({ run: createSnapshot })),
  },
  { name: 'machine snapshot ls', resident: true, alias: 'list', args: '<machine>', completion: 'machine', summary: 'list a machine\'s snapshots, the oldest first', options: [...outputOptions, { flags: '-q, --quiet', summary: 'names only' }], operations: ['listSnapshots'], load: () => import('./verbs/machine-copies.ts').then(({ listSnapshots }) => ({ run: listSnapshots })) },
  { name: 'machine snapshot restore', args: '<machine> <snapshot>', completion: 'machine', summary: 'bring a machine back to a snapshot; what it did since is lost', options: operationOptions, operations: ['restoreSnapshot'], load: () => import('./verbs/machine-copies.ts').then(({ restoreSnapshot }) => ({ run: restoreSnapshot })) },
  { name: 'machine snapshot rm', alias: 'delete', args: '<machine> <snapshot...>', completion: 'machine', summary: 'remove snapshots; clones of them stay', options: [answerOption], operations: ['removeSnapshot'], load: () => import('./verbs/machine-copies.ts').then(({ removeSnapshots }) => ({ run: removeSnapshots })) },
  {
    name: 'machine clone', args: '<machine> <new>', completion: 'machine', summary: 'make a machine with the disks of one that does not run, or of a snapshot',
    options: [{ flags: '--snapshot <name>', summary: 'of this snapshot, whatever the machine does' }, { flags: '--full', summary: 'with disks of its own, which share nothing' }, { flags: '--start', summary: 'start it' }, ...operationOptions],
    fields: { name: 'new' }, operations: ['cloneMachine'], examples: ['strata machine clone box box-2 --start'], load: () => import('./verbs/machine-copies.ts').then(({ cloneMachine }) => ({ run: cloneMachine })),
  },
  {
    name: 'machine fork', args: '<machine> <new>', completion: 'machine', summary: 'make a second machine that goes on from where one that runs is, memory and all',
    options: operationOptions, fields: { name: 'new' }, operations: ['forkMachine'], examples: ['strata machine fork box box-2'], load: () => import('./verbs/machine-copies.ts').then(({ forkMachine }) => ({ run: forkMachine })),
  },
  { name: 'machine rm', alias: 'delete', args: '<machine...>', completion: 'machine', summary: 'remove machines and their disks', options: [{ flags: '-f, --force', summary: 'also one that runs' }, ...wait], operations: ['removeMachine'], load: () => import('./verbs/machine-change.ts').then(({ changeMachines }) => ({ run: changeMachines('removeMachine') })) },
  { name: 'machine exec', args: '<machine> <command...>', completion: 'machine', passThrough: true, summary: 'run a command in the guest', options: execOptions, operations: ['execInMachine'], examples: ['strata machine exec box uname -a'], load: () => import('./verbs/machine-exec.ts') },
  { name: 'machine console', args: '<machine>', completion: 'machine', summary: 'the serial console; Ctrl-] leaves, as does the end of what is piped into it', operations: ['openMachineConsole'], load: () => import('./verbs/machine-console.ts') },
  { name: 'machine logs', args: '<machine>', completion: 'machine', summary: 'what the serial console printed last', options: [{ flags: '-f, --follow', summary: 'go on as more comes' }, { flags: '-n, --tail <lines>', summary: 'only the last lines', whole: true }], operations: ['getMachineLogs', 'getMachine'], load: () => import('./verbs/machine-logs.ts') },
];
