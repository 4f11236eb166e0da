/** A guest's refusal in the codes of this program. Pure. */
import { StrataError } from '#base';
import type { AgentMethod } from '#guest-protocol';

/** @param message the guest's own words, already made safe to show. */
export function refusalOf(method: AgentMethod, code: string, message: string): StrataError {
  const said = message.trim().slice(0, 2000);
  if (code === 'commandNotFound') return new StrataError(`there is no such program in it: ${programOf(said)}`, { code: 'exec.commandNotFound', kind: 'notFound', details: { guest: said } });
  if (code === 'notExecutable') return new StrataError(`it cannot be executed: ${programOf(said)}`, { code: 'exec.notExecutable', kind: 'refused', details: { guest: said } });
  if (code === 'noWorkingFolder') return new StrataError(`it cannot be started in ${folderOf(said)}`, { code: 'exec.noWorkingFolder', kind: 'refused', advice: 'name another working folder', details: { guest: said } });
  return new StrataError(`the guest refused ${method}: ${said}`, { code: 'agent.refused', kind: 'refused', details: { method, guestCode: code } });
}

const folderErrors: Readonly<Record<string, string>> = { '2': 'there is no such folder', '13': 'its user may not enter it', '20': 'it is not a folder' };

/** The agent says 'chdir <errno> <folder>'. */
function folderOf(said: string): string {
  const [, number = '', folder = said] = /^chdir (\d+) (.*)$/s.exec(said) ?? [];
  return `${folder}: ${folderErrors[number] ?? `error ${number}`}`;
}

/** The agent says '<errno> <program>'. */
function programOf(said: string): string {
  return said.replace(/^\d+ /, '');
}
