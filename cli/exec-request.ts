/** The request of `exec` and `machine exec` from their shared options. */
import type { ExecRequestInput } from '#client';
import { ownSize } from './run-terminal.ts';
import { UsageError, type Options } from './verb.ts';

/** A terminal where both ends are one, unless told otherwise. */
export function usesTty(options: Options): boolean {
  if (options.flag('noTty')) return false;
  return options.flag('tty') && process.stdin.isTTY ? true : process.stdin.isTTY === true && process.stdout.isTTY === true;
}

/** @throws UsageError for an empty command or a malformed variable */
export function execRequest(argv: readonly string[], options: Options): ExecRequestInput {
  if (argv.length === 0) throw new UsageError('which command?', 'strata exec web ls -l');
  const env = options.many('env').map((pair) => {
    if (pair.includes('=') && !pair.startsWith('=')) return pair;
    const value = process.env[pair];
    if (value === undefined) throw new UsageError(`--env wants name=value, not '${pair}'`);
    return `${pair}=${value}`;
  });
  const tty = usesTty(options);
  const term = tty && process.env['TERM'] !== undefined ? [`TERM=${process.env['TERM']}`] : [];
  return { argv: [...argv], env: [...term, ...env], user: options.text('user') ?? '', cwd: options.text('workdir') ?? '', tty: tty ? ownSize() : null, stdin: true };
}
