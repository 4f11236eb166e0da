/**
 * What engines can do, and why not where they cannot: one table, by which machines are refused an action and engines are
 * described. Plain values, no imports.
 */
export const engineAbilities = ['pause', 'suspend', 'snapshot', 'restore', 'clone', 'fork', 'ownDisks', 'plugDisks', 'otherArchitectures', 'severalProcessors', 'templates'] as const;
export type EngineAbility = (typeof engineAbilities)[number];

/** One line for people. */
export const abilityWords: Readonly<Record<EngineAbility, string>> = {
  pause: 'let machines stand still and go on', suspend: 'write machines to disk and go on later', snapshot: 'take snapshots', restore: 'restore snapshots', clone: 'clone machines', fork: 'fork machines that run',
  ownDisks: 'boot a disk by firmware', plugDisks: 'plug disks while a machine runs', otherArchitectures: 'run architectures other than the host\'s', severalProcessors: 'give a machine several processors', templates: 'start machines as clones of templates',
};

const umlMemory = 'its guest\'s processes are processes of the host, whose memory nobody writes down as one';
const umlDisks = 'its disks are plain files without layers (`strata disk snapshot` and `disk clone` do it with each that a back end serves)';

const cannot: Readonly<Record<string, Partial<Record<EngineAbility, string>>>> = {
  uml: {
    suspend: `${umlMemory}; qemu can`, snapshot: `${umlDisks}, and ${umlMemory}; qemu can`, restore: 'it takes no snapshots; qemu does', clone: `${umlDisks}; qemu can`, fork: `${umlMemory}; qemu can`,
    ownDisks: 'its kernel is a program of the host and boots no firmware', otherArchitectures: 'its kernel runs as a program of the host', severalProcessors: 'its kernel has one', templates: umlMemory,
  },
  fake: { templates: 'it only pretends' },
};

/** Why the engine cannot; undefined where it can. */
export function reasonAgainst(engine: string, ability: string): string | undefined {
  const why = (cannot[engine] as Readonly<Record<string, string>> | undefined)?.[ability];
  return why === undefined ? undefined : `the engine ${engine} cannot: ${why}`;
}
