/** The commander tree made from the declarations of the verbs; also read by completion and documentation. */
import { Command, Option as CommanderOption } from 'commander';
import { nounSummaries, verbs } from './command-tree.ts';
import type { Option, Verb } from './verb.ts';

export interface Chosen { readonly verb: Verb; readonly args: readonly string[]; readonly options: Readonly<Record<string, unknown>> }

/** Options every app verb has may also stand before the verb, as compose allows. */
const leading = ['file', 'projectName', 'profile', 'envFile'] as const;

/**
 * @param argv what will be parsed; verbs that it cannot mean are left out, for making all of them takes longer than most commands
 * @param choose called with the verb that the arguments name
 */
export function buildProgram(argv: readonly string[], choose: (chosen: Chosen) => void): Command {
  const program = new Command('strata');
  program.description('Runs ordinary Compose apps inside virtual machines.').enablePositionalOptions().exitOverride().showHelpAfterError(false)
    .option('-V, --version', 'print the version').helpCommand('help [command]', 'show help for a command');
  for (const flags of ['-f, --file <path>', '-p, --project-name <name>', '--profile <name>', '--env-file <path>']) {
    program.addOption(collecting(new CommanderOption(flags), !flags.includes('project')).hideHelp());
  }
  const nouns = new Map<string, Command>();
  for (const verb of verbsMeantBy(argv)) {
    const words = verb.name.split(' ');
    const parent = nounOf(program, nouns, words.slice(0, -1));
    addVerb(parent, words.at(-1) as string, verb, (chosen) => choose({ ...chosen, options: withLeading(program.opts(), chosen.options, verb) }));
  }
  return program;
}

/** Those under the first word; all where that is an option, or no verb's. */
function verbsMeantBy([first = '-']: readonly string[]): readonly Verb[] {
  const meant = verbs.filter(({ name }) => name === first || name.startsWith(`${first} `));
  return meant.length === 0 ? verbs : meant;
}

/** `machine`, and `snapshot` under it. */
function nounOf(program: Command, nouns: Map<string, Command>, words: readonly string[]): Command {
  const word = words.at(-1);
  if (word === undefined) return program;
  const name = words.join(' ');
  const known = nouns.get(name);
  if (known !== undefined) return known;
  const noun = nounOf(program, nouns, words.slice(0, -1)).command(word).description(nounSummaries[name] ?? name).exitOverride().enablePositionalOptions();
  noun.helpCommand(false);
  nouns.set(name, noun);
  return noun;
}

function addVerb(parent: Command, word: string, verb: Verb, choose: (chosen: Chosen) => void): void {
  const command = parent.command(verb.args === undefined ? word : `${word} ${verb.args}`).description(verb.summary).exitOverride().allowExcessArguments(false);
  if (verb.alias !== undefined) command.alias(verb.alias);
  if (verb.passThrough === true) command.passThroughOptions();
  for (const option of verb.options ?? []) command.addOption(commanderOption(option));
  if (verb.examples !== undefined) command.addHelpText('after', `\nExamples:\n${verb.examples.map((line) => `  ${line}`).join('\n')}`);
  command.action((...all: unknown[]) => {
    const operands = all.slice(0, -2) as (string | string[] | undefined)[];
    choose({ verb, args: operands.flat().filter((one) => one !== undefined), options: namedNegations(verb, command.opts()) });
  });
}

function commanderOption(option: Option): CommanderOption {
  const made = collecting(new CommanderOption(option.flags, option.summary), option.many === true);
  return option.choices === undefined ? made : made.choices(option.choices);
}

function collecting(option: CommanderOption, many: boolean): CommanderOption {
  return many ? option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]) : option;
}

/** commander reads `--no-headers` as headers: false; verbs ask for noHeaders. */
function namedNegations(verb: Verb, options: Record<string, unknown>): Record<string, unknown> {
  const named = { ...options };
  for (const option of verb.options ?? []) {
    const long = /--no-([a-z-]+)/.exec(option.flags)?.[1];
    if (long === undefined) continue;
    const camel = long.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    if (named[camel] === false) named[`no${camel[0]?.toUpperCase()}${camel.slice(1)}`] = true;
  }
  return named;
}

function withLeading(before: Readonly<Record<string, unknown>>, own: Readonly<Record<string, unknown>>, verb: Verb): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...own };
  const known = (verb.options ?? []).map((option) => option.flags).join(' ');
  for (const name of leading) {
    const long = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (merged[name] === undefined && before[name] !== undefined && known.includes(`--${long} `)) merged[name] = before[name];
  }
  return merged;
}
