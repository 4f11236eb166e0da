/** `strata doctor`: exit 1 where something is missing or broken; tells of a daemon that does not start, too. */
import { ClientProblem } from '#client';
import type { DoctorItem } from '#client';
import { printList } from '../print-list.ts';
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
      { head: 'VERSION', value: (item) => item.version },
      { head: 'SEEN', value: (item) => item.message },
      { head: 'TO DO', value: (item) => item.advice },
    ],
  }, options);
  return items.some((item) => item.state === 'missing' || item.state === 'broken') ? exitCodes.failed : exitCodes.ok;
}
