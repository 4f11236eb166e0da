/** `strata doctor`: exit 1 where something is missing or broken; tells of a daemon that does not start, too. */
import { ClientProblem } from '#client';
import type { DoctorItem } from '#client';
import { inert } from '../explain.ts';
import { formatOf, lines, printList } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, options }: Invocation): Promise<number> {
  const items = await (async (): Promise<readonly DoctorItem[]> => {
    try { return (await (await context.client()).call('getDoctor', { timeoutMs: 180_000 })).items; } catch (error) {
      if (!(error instanceof ClientProblem)) throw error;
      return [{ name: 'daemon', state: 'broken', version: '', message: error.message, advice: error.advice }];
    }
  })();
  await printList(context.out, items, {
    name: (item) => item.name,
    columns: [
      { head: 'NAME', value: (item) => item.name },
      { head: 'STATE', value: (item) => item.state },
      { head: 'SEEN', atMost: 64, value: (item) => (item.version === '' ? item.message : item.version) },
      { head: 'FOR', wide: true, value: (item) => item.message },
    ],
  }, options);
  if (['table', 'wide'].includes(formatOf(options))) context.out.write(adviceText(items));
  return items.some((item) => item.state === 'missing' || item.state === 'broken') ? exitCodes.failed : exitCodes.ok;
}

/** What to do, below the table: sentences have no room in a column. */
function adviceText(items: readonly DoctorItem[]): string {
  const notes = items.filter((item) => item.advice !== '');
  if (notes.length === 0) return '';
  return `\n${lines(notes.flatMap((item) => wrapped(inert(`${item.name}: ${item.advice}`), 98).map((line, at) => (at === 0 ? line : `  ${line}`))))}`;
}

function wrapped(text: string, width: number): string[] {
  const rows: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = rows.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) rows[rows.length - 1] = `${last} ${word}`;
    else rows.push(word);
  }
  return rows;
}
