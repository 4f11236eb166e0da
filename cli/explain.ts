/** How an error looks on stderr: place and message first, then what to do. */
import { stripVTControlCharacters } from 'node:util';
import { ClientProblem } from '#client';
import type { Caller } from './caller.ts';
import { argumentLines, type TypedCommand } from './explain-arguments.ts';
import { UsageError } from './verb.ts';

/** @param typed what was asked for, where a refusal of the API can be said in its words */
export function explain(error: unknown, { err, env }: Pick<Caller, 'err' | 'env'>, typed?: TypedCommand): void {
  if (error instanceof ClientProblem) {
    for (const line of error.code === 'api.invalidRequest' && error.errors.length > 0 ? argumentLines(error.errors, typed) : problemLines(error)) err.write(`${inert(line)}\n`);
    return;
  }
  err.write(`strata: ${inert(error instanceof Error ? error.message : String(error))}\n`);
  if (error instanceof UsageError && error.advice !== '') err.write(`  ${error.advice}\n`);
  else if (!(error instanceof UsageError) && env['STRATA_LOG_LEVEL'] === 'debug' && error instanceof Error) err.write(`${error.stack}\n`);
}

/** One line for each diagnostic (`file:line:column: message`), or the problem itself; advice below each. */
export function problemLines(problem: { readonly message?: string; readonly detail?: string; readonly advice: string; readonly code: string; readonly diagnostics: ClientProblem['diagnostics']; readonly errors?: ClientProblem['errors'] }): string[] {
  const lines: string[] = [];
  for (const note of problem.diagnostics) {
    lines.push(`${note.file}:${note.line}:${note.column}: ${note.severity === 'warning' ? 'warning: ' : ''}${note.message}`);
    if (note.advice !== '') lines.push(`  ${note.advice}`);
  }
  if (lines.length > 0) return lines;
  lines.push(`strata: ${problem.message ?? problem.detail ?? problem.code}`);
  for (const field of (problem.errors ?? []).slice(1)) lines.push(`  ${field.pointer}: ${field.detail}`);
  if (problem.advice !== '') lines.push(`  ${problem.advice}`);
  return lines;
}

/** Text of guests and files must not drive the terminal. */
export const inert = (text: string): string => stripVTControlCharacters(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '');
