/**
 * The one list of layers. The lint rules (generate-lint-rules.ts → .oxlintrc.json) and the architecture
 * test both come from it, so they cannot disagree about what is above what.
 */

/** Bottom to top: a layer imports only from those before it, and only by their doors. */
export const layersFromBottom = ['base', 'store', 'reconcile', 'pool', 'machines', 'containers', 'services', 'pipelines', 'api', 'bin'] as const;
export type Layer = (typeof layersFromBottom)[number];

/** Folders beside src: which names of package.json's "imports" each may use. */
export const besideLayers = {
  contract: [],
  client: ['#contract'],
  cli: ['#client', '#contract'],
  'guest/protocol': [],
  'guest/agent': [],
} as const satisfies Record<string, readonly string[]>;

/** Names any layer may use besides the doors below it; the api alone speaks the contract. */
export const sharedDoors = { '#guest-protocol': ['machines', 'containers', 'services'], '#contract': ['api', 'bin'], '#client': ['bin'] } as const satisfies Record<string, readonly Layer[]>;

/** Files that decide and do nothing else: no clock, no dice, no file, no store. */
export const pureFiles = ['plan-*.ts', 'place-*.ts', 'check-*.ts', 'compute-*.ts', '*-states.ts'] as const;

/** Import of a node: module that only computes, allowed in pure files. */
export const pureModules = ['node:net', 'node:crypto', 'node:path'] as const;

/**
 * Known exceptions, each with its reason; kept short and printed by the architecture test.
 * `from` and `to` are files or names as they stand in the import.
 */
export const exceptions: readonly { readonly from: string; readonly to: string; readonly why: string }[] = [];

export const rankOf = (layer: string): number => layersFromBottom.indexOf(layer as Layer);

/** `src/machines/qemu/x.ts` → `machines`; undefined outside src. */
export function layerOf(file: string): Layer | undefined {
  const match = /^src\/([\w-]+)\//.exec(file);
  return layersFromBottom.find((layer) => layer === match?.[1]);
}

/** Tests, contract suites and what only tests import; they may open side doors, and be longer. */
export const isTestFile = (file: string): boolean => /\.(test|contract)\.ts$/.test(file) || /\/(testing|fake)\//.test(file) || /\/(fake|test|sample)-[\w-]+\.ts$/.test(file) || file.startsWith('tests/');
