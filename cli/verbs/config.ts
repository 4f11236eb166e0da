/** `strata config`: checks the Compose files and prints the resolved project. */
import { namedApp, requireCompose, splitFolder } from '../choose-app.ts';
import { inert, problemLines } from '../explain.ts';
import { lines } from '../print-list.ts';
import { UsageError, exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const { folder, rest } = splitFolder(args, context.cwd);
  if (rest.length > 0) throw new UsageError(`${rest[0]} is no folder with a Compose file`);
  const source = requireCompose(context, options, folder);
  const client = await context.client();
  const projectName = namedApp(context, options);
  const resolved = await client.call('resolveApp', { body: { ...source, ...(projectName === undefined ? {} : { projectName }) } });
  if (resolved.warnings.length > 0) for (const line of problemLines({ code: '', advice: '', diagnostics: resolved.warnings })) context.say(inert(line));
  if (options.flag('quiet')) return exitCodes.ok;
  if (options.flag('services')) context.out.write(lines(resolved.services));
  else if (options.flag('volumes')) context.out.write(lines(resolved.volumes));
  else if (options.flag('images')) context.out.write(lines(resolved.images));
  else if (options.text('output') === 'json') {
    const { parse } = await import('yaml');
    context.out.write(`${JSON.stringify(parse(resolved.yaml), null, 2)}\n`);
  } else context.out.write(resolved.yaml.endsWith('\n') ? resolved.yaml : `${resolved.yaml}\n`);
  return exitCodes.ok;
}
