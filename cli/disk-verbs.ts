/** The verbs of `strata backend` and `strata disk`, as data. */
import { answerOption, operationOptions } from './answer-options.ts';
import type { Option, Verb } from './verb.ts';

const fromSnapshot: Option = { flags: '--snapshot <name>', summary: 'of this snapshot, not of the disk as it is' };
const named = { args: '<backend>', completion: 'backend' } as const;

export const diskVerbs = (outputOptions: readonly Option[]): readonly Verb[] => [
  { name: 'backend ls', resident: true, alias: 'list', summary: 'list back ends', options: outputOptions, operations: ['listBackends'], load: () => import('./verbs/backend-ls.ts') },
  { name: 'backend inspect', resident: true, alias: 'show', ...named, summary: 'show a back end', options: outputOptions, operations: ['getBackend'], load: () => import('./verbs/inspect.ts').then(({ inspect }) => ({ run: inspect('getBackend', 'backend') })) },
  { name: 'backend describe', resident: true, ...named, summary: 'what can be done with a back end under its machine, and why not', options: outputOptions, operations: ['getBackend'], load: () => import('./verbs/backend-describe.ts') },
  { name: 'backend logs', resident: true, ...named, summary: 'what happened to a back end last', options: outputOptions, operations: ['getBackendLog'], load: () => import('./verbs/backend-logs.ts') },
  { name: 'backend restart', ...named, summary: 'restart a back end; the guest waits for it', options: [{ flags: '--force', summary: 'also where the machine has to be restarted with it' }, answerOption], operations: ['restartBackend'], load: () => import('./verbs/backend-restart.ts') },
  { name: 'disk grow', args: '<machine> <disk> <size>', completion: 'machine', summary: 'grow a disk to 512M, 2G (a number alone counts MiB)', options: [answerOption], operations: ['growDisk'], examples: ['strata disk grow box data 4G'], load: () => import('./verbs/disk-grow.ts') },
  {
    name: 'disk snapshot create', args: '<machine> <disk> [name]', completion: 'machine', summary: 'keep a disk as it is at one moment, while the guest writes on', options: operationOptions, operations: ['createDiskSnapshot'],
    examples: ['strata disk snapshot create box data before-upgrade'], load: () => import('./verbs/disk-copies.ts').then(({ createSnapshot }) => ({ run: createSnapshot })),
  },
  { name: 'disk snapshot ls', resident: true, alias: 'list', args: '<machine> <disk>', completion: 'machine', summary: 'list snapshots that hold a disk, the oldest first', options: [...outputOptions, { flags: '-q, --quiet', summary: 'names only' }], operations: ['listDiskSnapshots'], load: () => import('./verbs/disk-copies.ts').then(({ listSnapshots }) => ({ run: listSnapshots })) },
  { name: 'disk snapshot restore', args: '<machine> <disk> <snapshot>', completion: 'machine', summary: 'bring a disk back to a snapshot; its machine is ended for it, and started again where it is to run', options: operationOptions, operations: ['restoreDiskSnapshot'], load: () => import('./verbs/disk-copies.ts').then(({ restoreSnapshot }) => ({ run: restoreSnapshot })) },
  { name: 'disk snapshot rm', alias: 'delete', args: '<machine> <disk> <snapshot>', completion: 'machine', summary: 'remove a snapshot, and merge what only it kept apart; clones of it stay', options: operationOptions, operations: ['removeDiskSnapshot'], load: () => import('./verbs/disk-copies.ts').then(({ removeSnapshot }) => ({ run: removeSnapshot })) },
  {
    name: 'disk clone', args: '<machine> <disk> <new>', completion: 'machine', summary: 'make a machine whose disk begins with this one, as it is or as a snapshot of it',
    options: [
      fromSnapshot, { flags: '--full', summary: 'with a file of its own, which shares nothing' },
      { flags: '--arch <architecture>', summary: 'of the new machine; default: as this one\'s', choices: ['x86_64', 'aarch64', 'amd64', 'arm64'] },
      { flags: '--engine <engine>', summary: 'what runs the new machine; default: as this one\'s', choices: ['auto', 'qemu', 'uml'] },
      { flags: '--backend <kind>', summary: 'what serves the new disk; default: as this one', choices: ['vmm', 'vhost-user'] },
      { flags: '--start', summary: 'start it' }, ...operationOptions,
    ],
    fields: { name: 'new' }, operations: ['cloneDisk'], examples: ['strata disk clone box data again --arch aarch64 --start'], load: () => import('./verbs/disk-copies.ts').then(({ cloneDisk }) => ({ run: cloneDisk })),
  },
  {
    name: 'disk copy', alias: 'backup', args: '<machine> <disk> <file>', completion: 'machine', summary: 'copy a disk into a file, whole, as it is at one moment or was in a snapshot', options: [fromSnapshot, ...operationOptions], operations: ['copyDisk'],
    examples: ['strata disk copy box data /backup/data.raw'], load: () => import('./verbs/disk-copies.ts').then(({ copyDisk }) => ({ run: copyDisk })),
  },
];
