/** What a QEMU holds of the host's memory, by what it is for: from /proc/<pid>/smaps. */
import { readFile } from 'node:fs/promises';

export const parts = ['guest memory', 'translation cache', 'programs and libraries', 'heap and tables'] as const;
export type Part = (typeof parts)[number];
/** Kilobytes, each page shared among those that have it (PSS); `own`: what the host has back when this one ends. */
export interface MemorySplit { readonly total: number; readonly own: number; readonly of: Readonly<Record<Part, number>> }

export async function memorySplit(pid: number): Promise<MemorySplit> {
  const of: Record<Part, number> = { 'guest memory': 0, 'translation cache': 0, 'programs and libraries': 0, 'heap and tables': 0 };
  let own = 0;
  for (const range of (await readFile(`/proc/${pid}/smaps`, 'utf8')).split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const [, rights = '', name = ''] = /^\S+ (\S+) \S+ \S+ \d+ *(.*)$/m.exec(range) ?? [];
    const kilobytes = (what: string): number => Number(new RegExp(`^${what}:\\s+(\\d+)`, 'm').exec(range)?.[1] ?? 0);
    of[partOf(rights, name)] += kilobytes('Pss');
    own += kilobytes('Private_Dirty');
  }
  return { total: parts.reduce((sum, part) => sum + of[part], 0), own, of };
}

function partOf(rights: string, name: string): Part {
  if (name.startsWith('/memfd:memory')) return 'guest memory';
  if (name === '' && rights.startsWith('rwx')) return 'translation cache';
  return name.startsWith('/') ? 'programs and libraries' : 'heap and tables';
}
