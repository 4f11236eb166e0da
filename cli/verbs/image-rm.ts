/** `strata image rm`: tries all, says what failed. */
import type { Image } from '#client';
import { explain } from '../explain.ts';
import { isText, lines, printAnswer } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const client = await context.client();
  const removed: Image[] = [];
  let code: number = exitCodes.ok;
  for (const image of args) {
    try {
      const { items } = await client.call('removeImage', { params: { image } });
      removed.push(...items);
      if (isText(options)) context.out.write(lines(items.map((one) => one.digest)));
    } catch (error) {
      explain(error, context);
      code = exitCodes.failed;
    }
  }
  await printAnswer(context.out, { items: removed }, [], options);
  return code;
}
