/** The verbs of `strata backend` and `strata disk`, as data. */
import type { Option, Verb } from './verb.ts';

const named = { args: '<backend>', completion: 'backend' } as const;

export const diskVerbs = (outputOptions: readonly Option[]): readonly Verb[] => [
  { name: 'backend ls', alias: 'list', summary: 'list back ends', options: outputOptions, operations: ['listBackends'], load: () => import('./verbs/backend-ls.ts') },
  { name: 'backend inspect', alias: 'show', ...named, summary: 'show a back end', options: outputOptions, operations: ['getBackend'], load: () => import('./verbs/inspect.ts').then(({ inspect }) => ({ run: inspect('getBackend', 'backend') })) },
  { name: 'backend describe', ...named, summary: 'what can be done with a back end under its machine, and why not', options: outputOptions, operations: ['getBackend'], load: () => import('./verbs/backend-describe.ts') },
  { name: 'backend logs', ...named, summary: 'what happened to a back end last', options: outputOptions, operations: ['getBackendLog'], load: () => import('./verbs/backend-logs.ts') },
  { name: 'backend restart', ...named, summary: 'restart a back end; the guest waits for it', options: [{ flags: '--force', summary: 'also where the machine has to be restarted with it' }], operations: ['restartBackend'], load: () => import('./verbs/backend-restart.ts') },
  { name: 'disk grow', args: '<machine> <disk> <size>', completion: 'machine', summary: 'grow a disk of a running machine', operations: ['growDisk'], examples: ['strata disk grow box data 4G'], load: () => import('./verbs/disk-grow.ts') },
  { name: 'disk copy', args: '<machine> <disk> <file>', completion: 'machine', summary: 'copy a disk of a running machine, as it is at one moment, into a file', options: [{ flags: '-q, --quiet', summary: 'no progress' }], operations: ['copyDisk'], examples: ['strata disk copy box data /backup/data.raw'], load: () => import('./verbs/disk-copy.ts') },
];
