/** `strata image rm`: tries all, says what failed. */
import { explain } from '../explain.ts';
import { lines } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args }: Invocation): Promise<number> {
  const client = await context.client();
  let code: number = exitCodes.ok;
  for (const image of args) {
    try {
      const { items } = await client.call('removeImage', { params: { image } });
      context.out.write(lines(items.map((one) => one.digest)));
    } catch (error) {
      explain(error, context);
      code = exitCodes.failed;
    }
  }
  return code;
}
