/** From a caller's words to an exit code: parse, run the verb, explain what went wrong on stderr. */
import { CommanderError, type Command } from 'commander';
import { ClientProblem } from '#client';
import { buildProgram, type Chosen } from './build-program.ts';
import type { Caller } from './caller.ts';
import { openContext } from './context.ts';
import { UsageError, exitCodes, readOptions, type Verb } from './verb.ts';

export interface RunOptions {
  /** Aborted where the caller wants no more of it: Ctrl-C. */
  readonly interrupted: AbortSignal;
  /** Told which verb the words name, before it runs; what it throws is thrown. */
  readonly chosen?: (verb: Verb) => void;
  /** Errors that are not explained but thrown. Default none. */
  readonly passOn?: (error: unknown) => boolean;
}

/** Exit code of the whole command. Rejects only with what the options say. */
export async function runCommandLine(caller: Caller, options: RunOptions): Promise<number> {
  const { argv, out } = caller;
  if (argv[0] === '__complete') return printCompletions(caller, argv.slice(argv[1] === '--' ? 2 : 1));
  let chosen: Chosen | undefined;
  const program = buildProgram(argv, (one) => { chosen = one; });
  ownStreams(program, out);
  try {
    program.parse([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return parseFailure(error, program, caller);
    throw error;
  }
  if (chosen === undefined) return withoutVerb(program, caller);
  options.chosen?.(chosen.verb);
  return runVerb(chosen, caller, options);
}

async function printCompletions(caller: Caller, words: readonly string[]): Promise<number> {
  const { complete } = await import('./complete.ts');
  caller.out.write((await complete(words, caller)).map((line) => `${line}\n`).join(''));
  return exitCodes.ok;
}

async function runVerb(chosen: Chosen, caller: Caller, { interrupted, passOn }: RunOptions): Promise<number> {
  const context = openContext(caller, interrupted);
  try {
    const options = readOptions(chosen.options, chosen.verb.options ?? []);
    const { run } = await chosen.verb.load();
    const code = await run({ context, args: chosen.args, options });
    return interrupted.aborted && code === 0 && !['logs', 'events', 'machine logs', 'serve'].includes(chosen.verb.name) ? exitCodes.interrupted : code;
  } catch (error) {
    if (passOn?.(error) === true) throw error;
    if (interrupted.aborted) return exitCodes.interrupted;
    const { explain } = await import('./explain.ts');
    explain(error, context, { ...chosen, argv: caller.argv });
    return exitCodeOf(error, chosen);
  } finally {
    context.close();
  }
}

function exitCodeOf(error: unknown, chosen: Chosen): number {
  if (error instanceof UsageError) return exitCodes.usage;
  const isExec = chosen.verb.passThrough === true;
  if (!(error instanceof ClientProblem)) return isExec ? exitCodes.platform : exitCodes.failed;
  if (isExec) return { 'exec.commandNotFound': exitCodes.notFound, 'exec.notExecutable': exitCodes.cannotInvoke, 'exec.noWorkingFolder': exitCodes.cannotInvoke }[error.code as string] ?? exitCodes.platform;
  if (error.status === 400) return exitCodes.usage;
  return error.code === 'client.timeout' || error.status === 504 ? exitCodes.timeout : exitCodes.failed;
}

/** Help goes to the caller; errors are printed by us, once, in our words. */
function ownStreams(command: Command, out: NodeJS.WriteStream): void {
  command.configureOutput({
    writeOut: (text) => { out.write(text); }, getOutHelpWidth: () => (out.isTTY ? out.columns : 80), getOutHasColors: () => false,
    writeErr: () => {}, outputError: () => {},
  });
  for (const inner of command.commands) ownStreams(inner, out);
}

function parseFailure(error: CommanderError, program: Command, caller: Caller): number | Promise<number> {
  const { argv, err } = caller;
  if (error.code === 'commander.helpDisplayed' || error.code === 'commander.version') return exitCodes.ok;
  if (error.code === 'commander.help' && program.opts()['version'] === true) return withoutVerb(program, caller);
  // `help` and `help up` throw the same as a noun without its verb, but with 0: commander printed it already.
  if (error.code === 'commander.help' && error.exitCode === 0) return exitCodes.ok;
  const words = argv.filter((word) => !word.startsWith('-'));
  if (error.code === 'commander.help' && words[0] === 'help') {
    err.write(`strata: unknown command '${words.slice(1).join(' ')}'\n  see \`strata --help\`\n`);
    return exitCodes.usage;
  }
  if (error.code === 'commander.help') { err.write(helpOf(program, argv)); return exitCodes.usage; }
  const [first, ...rest] = error.message.replace(/^error: /, '').split('\n');
  err.write(`strata: ${first}\n`);
  const hint = rest.join(' ').trim().replace(/^\(|\)$/g, '');
  err.write(`  ${hint === '' ? `see \`${nearestCommand(program, argv)} --help\`` : hint}\n`);
  return exitCodes.usage;
}

/** The command as far as its words are known: `strata machine ls`. */
function nearestCommand(program: Command, argv: readonly string[]): string {
  let at = program;
  const words = [program.name()];
  for (const word of argv.filter((one) => !one.startsWith('-'))) {
    const next = at.commands.find((command) => command.name() === word || command.aliases().includes(word));
    if (next === undefined) break;
    words.push(next.name());
    at = next;
  }
  return words.join(' ');
}

/** A noun without a verb: its help, as an error. */
function helpOf(program: Command, argv: readonly string[]): string {
  const noun = program.commands.find((command) => command.name() === argv.find((word) => !word.startsWith('-')));
  return (noun ?? program).helpInformation();
}

async function withoutVerb(program: Command, { out, err }: Caller): Promise<number> {
  if (program.opts()['version'] !== true) { err.write(program.helpInformation()); return exitCodes.usage; }
  const { programVersion } = await import('./program-version.ts');
  out.write(`strata ${programVersion()}\n`);
  return exitCodes.ok;
}
