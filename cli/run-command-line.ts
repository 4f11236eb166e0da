/** From arguments to an exit code: parse, run the verb, explain what went wrong on stderr. */
import { CommanderError, type Command } from 'commander';
import { ClientProblem } from '#client';
import { buildProgram, type Chosen } from './build-program.ts';
import { openContext } from './context.ts';
import { UsageError, exitCodes, readOptions } from './verb.ts';

/** Exit code of the whole command. Never rejects. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  // `strata logs | head` or `strata --help | head` closes our stdout; that is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => { process.exit(error.code === 'EPIPE' ? exitCodes.ok : exitCodes.failed); });
  if (argv[0] === '__complete') return printCompletions(argv.slice(argv[1] === '--' ? 2 : 1));
  let chosen: Chosen | undefined;
  const program = buildProgram(argv, (one) => { chosen = one; });
  quietErrors(program);
  try {
    program.parse([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return parseFailure(error, program);
    throw error;
  }
  if (chosen === undefined) return withoutVerb(program);
  return runVerb(chosen);
}

async function printCompletions(words: readonly string[]): Promise<number> {
  const { complete } = await import('./complete.ts');
  process.stdout.write((await complete(words)).map((line) => `${line}\n`).join(''));
  return exitCodes.ok;
}

async function runVerb(chosen: Chosen): Promise<number> {
  const interrupt = new AbortController();
  const onSignal = () => {
    // The first asks politely, so that terminals are restored and operations cancelled; the second does not.
    if (interrupt.signal.aborted) process.exit(exitCodes.interrupted);
    interrupt.abort(new Error('interrupted'));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  const context = openContext(interrupt.signal);
  try {
    const { run } = await chosen.verb.load();
    const code = await run({ context, args: chosen.args, options: readOptions(chosen.options) });
    return interrupt.signal.aborted && code === 0 && !['logs', 'events', 'machine logs', 'serve'].includes(chosen.verb.name) ? exitCodes.interrupted : code;
  } catch (error) {
    if (interrupt.signal.aborted) return exitCodes.interrupted;
    const { explain } = await import('./explain.ts');
    explain(error, context.err, chosen.verb.name);
    return exitCodeOf(error, chosen);
  } finally {
    context.close();
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
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

/** Errors are printed by us, once, in our words. */
function quietErrors(command: Command): void {
  command.configureOutput({ writeErr: () => {}, outputError: () => {} });
  for (const inner of command.commands) quietErrors(inner);
}

function parseFailure(error: CommanderError, program: Command): number | Promise<number> {
  if (error.code === 'commander.helpDisplayed' || error.code === 'commander.version') return exitCodes.ok;
  if (error.code === 'commander.help' && program.opts()['version'] === true) return withoutVerb(program);
  // `help` and `help up` throw the same as a noun without its verb, but with 0: commander printed it already.
  if (error.code === 'commander.help' && error.exitCode === 0) return exitCodes.ok;
  const words = process.argv.slice(2).filter((word) => !word.startsWith('-'));
  if (error.code === 'commander.help' && words[0] === 'help') {
    process.stderr.write(`strata: unknown command '${words.slice(1).join(' ')}'\n  see \`strata --help\`\n`);
    return exitCodes.usage;
  }
  if (error.code === 'commander.help') { process.stderr.write(helpOf(program, process.argv.slice(2))); return exitCodes.usage; }
  const [first, ...rest] = error.message.replace(/^error: /, '').split('\n');
  process.stderr.write(`strata: ${first}\n`);
  const hint = rest.join(' ').trim().replace(/^\(|\)$/g, '');
  process.stderr.write(`  ${hint === '' ? `see \`${nearestCommand(program, process.argv.slice(2))} --help\`` : hint}\n`);
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

async function withoutVerb(program: Command): Promise<number> {
  if (program.opts()['version'] !== true) { process.stderr.write(program.helpInformation()); return exitCodes.usage; }
  const { programVersion } = await import('./program-version.ts');
  process.stdout.write(`strata ${programVersion()}\n`);
  return exitCodes.ok;
}
