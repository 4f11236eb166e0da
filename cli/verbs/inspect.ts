/** `inspect` of a noun: the API's object, unchanged, as YAML for people or JSON for programs. */
import { formatOf, printValue } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

type Getter = 'getApp' | 'getContainer' | 'getMachine' | 'getBackend' | 'getHost';

export function inspect(operation: Getter, parameter: string): (invocation: Invocation) => Promise<number> {
  return async ({ context, args, options }) => {
    const client = await context.client();
    const value = await client.call(operation, { params: { [parameter]: args[0] as string } });
    const format = formatOf(options, 'yaml');
    if (format === 'name') context.out.write(`${value.name}\n`);
    else await printValue(context.out, value, format === 'table' || format === 'wide' ? 'yaml' : format);
    return exitCodes.ok;
  };
}
