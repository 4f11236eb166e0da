/**
 * The lint rules as a value. oxlint replaces the options of a rule, it does not merge them; so for each
 * glob there is exactly one block with all import rules of its files.
 */
import { besideLayers, layersFromBottom, pureFiles, pureModules, sharedDoors, type Layer } from './layers.ts';

type Pattern = { readonly message: string } & ({ readonly regex: string } | { readonly group: readonly string[] })
interface Override { readonly files: readonly string[]; readonly rules: Readonly<Record<string, unknown>> }

const alternatives = (words: readonly string[]): string => words.map((word) => word.replaceAll(/[/.#]/g, '\\$&')).join('|');

const noShell = [
  { name: 'node:child_process', importNames: ['exec', 'execSync'], message: 'no shell and no built strings: runProcess of #base with an argv array' },
  { name: 'child_process', message: 'node:child_process, and of it spawn only; short programs by runProcess of #base' },
];

/** What a layer's files may not import; `tests` may open side doors, `pure` files may touch nothing. */
function importRules(layer: Layer, kind: 'ordinary' | 'tests' | 'pure'): unknown[] {
  const at = layersFromBottom.indexOf(layer);
  const above = layersFromBottom.slice(at + 1);
  const others = layersFromBottom.filter((other) => other !== layer);
  const shared = Object.entries(sharedDoors).filter(([, users]) => !(users as readonly Layer[]).includes(layer)).map(([name]) => name);
  const patterns: Pattern[] = [
    { regex: `^#${layer}$`, message: `a file of ${layer} does not import its own door` },
    { regex: `\\.\\./(${alternatives(others)})/`, message: 'another layer is entered only by its door, #layer' },
  ];
  if (above.length > 0) patterns.push({ regex: `^#(${alternatives(above)})(/|$)`, message: `${layer} imports only downward: ${layersFromBottom.slice(0, at).join(', ') || 'nothing of ours'}` });
  if (shared.length > 0 && kind !== 'tests') patterns.push({ regex: `^(${alternatives(shared)})$`, message: `${layer} does not know it` });
  if (layer !== 'bin' && kind !== 'tests') patterns.push({ regex: '^#[\\w-]+/', message: 'side doors of drivers are for bin and tests' });
  if (kind === 'pure') patterns.push({ group: ['node:*', ...pureModules.map((name) => `!${name}`)], message: 'a file that decides touches nothing: hand in what it needs' }, { regex: '^#store', message: 'a file that decides knows no store' });
  return ['error', { paths: noShell, patterns }];
}

function layerOverrides(): Override[] {
  const timeless = ['error', { object: 'Date', property: 'now', message: 'hand in `now`: a decision must be repeatable' }, { object: 'Math', property: 'random', message: 'hand in dice: a decision must be repeatable' }, { object: 'performance', property: 'now', message: 'hand in `now`' }];
  return layersFromBottom.flatMap((layer): Override[] => [
    { files: [`src/${layer}/**/*.ts`], rules: { 'no-restricted-imports': importRules(layer, 'ordinary') } },
    { files: pureFiles.map((name) => `src/${layer}/**/${name}`), rules: { 'no-restricted-imports': importRules(layer, 'pure'), 'no-restricted-properties': timeless } },
    { files: [`src/${layer}/**/*.test.ts`, `src/${layer}/**/*.contract.ts`, `src/${layer}/**/testing/**`, `src/${layer}/**/fake/**`], rules: { 'no-restricted-imports': importRules(layer, 'tests'), 'no-restricted-properties': 'off' } },
  ]);
}

function besideOverrides(): Override[] {
  const doors = [...layersFromBottom.map((layer) => `#${layer}`), ...Object.keys(sharedDoors)];
  return Object.entries(besideLayers).flatMap(([folder, names]: [string, readonly string[]]) => {
    const foreign = alternatives(doors.filter((door) => !names.includes(door)));
    const message = `${folder} imports ${names.join(', ') || 'nothing of ours'} only`;
    const patterns = [{ regex: `^(${foreign})(/|$)`, message }, { regex: '\\.\\./src/', message }];
    return [
      { files: [`${folder}/**/*.ts`], rules: { 'no-restricted-imports': ['error', { paths: noShell, patterns }] } },
      { files: [`${folder}/**/*.test.ts`], rules: { 'no-restricted-imports': ['error', { paths: noShell }] } },
    ];
  });
}

/** Tests are longer than what they test, and their bodies are stories. */
const testRules = { 'max-lines': ['error', { max: 600 }], 'max-lines-per-function': 'off', complexity: 'off', 'typescript/no-non-null-assertion': 'off', 'typescript/no-base-to-string': 'off', 'typescript/require-array-sort-compare': 'off' };

export function lintConfiguration(): Record<string, unknown> {
  return {
    plugins: ['typescript', 'import', 'unicorn', 'oxc'],
    categories: { correctness: 'error' },
    options: { typeAware: true },
    rules: {
      'no-restricted-imports': ['error', { paths: noShell }],
      // A factory counts with the functions in it; each function's own 60 lines are counted by the architecture test.
      'max-lines': ['error', { max: 400 }], 'max-lines-per-function': ['error', { max: 180, skipComments: true, skipBlankLines: true }], complexity: ['error', { max: 20 }],
      'import/max-dependencies': ['error', { max: 24 }], 'import/no-cycle': 'error', 'import/no-default-export': 'error',
      'typescript/no-explicit-any': 'error', 'typescript/consistent-type-imports': 'error',
      'typescript/no-floating-promises': ['error', { allowForKnownSafeCalls: [{ from: 'package', package: 'node:test', name: ['test', 'suite', 'describe', 'it'] }] }],
      'typescript/no-misused-promises': ['error', { checksVoidReturn: { arguments: false } }], 'typescript/await-thenable': 'error', 'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      // Wrong here: ids, addresses and paths are ASCII; a loop that changes a collection walks over a copy.
      'typescript/no-misused-spread': 'off', 'unicorn/no-useless-spread': 'off', 'typescript/unbound-method': 'off', 'no-control-regex': 'off',
    },
    overrides: [
      ...layerOverrides(), ...besideOverrides(),
      { files: ['**/*.test.ts', '**/*.contract.ts', '**/testing/**/*.ts', 'tests/**/*.ts', 'bench/**/*.ts'], rules: testRules },
      // One record as another: every optional field counts as a branch, and there is no decision.
      { files: ['src/api/layers/show-*.ts'], rules: { complexity: 'off' } },
      { files: ['tools/*.mjs'], rules: { 'import/no-default-export': 'off' } },
    ],
    ignorePatterns: ['node_modules', 'console/dist'],
  };
}
