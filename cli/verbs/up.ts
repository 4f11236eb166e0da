/** `strata up`: reads the project (errors first, nothing changed), deploys it, waits, prints the addresses. */
import { awaitOperation } from '../await-operation.ts';
import { beginOperation } from '../begin-operation.ts';
import { namedApp, requireCompose, splitFolder } from '../choose-app.ts';
import { inert, problemLines } from '../explain.ts';
import { printAnswer } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run(invocation: Invocation): Promise<number> {
  const { context, args, options } = invocation;
  const { folder, rest } = splitFolder(args, context.cwd);
  const source = requireCompose(context, options, folder, rest);
  const client = await context.client();
  const projectName = namedApp(context, options);
  const resolved = await client.call('resolveApp', { body: { ...source, ...(projectName === undefined ? {} : { projectName }) } });
  for (const line of problemLinesOf(resolved.warnings)) context.say(inert(line));
  const pull = options.text('pull') as 'always' | 'missing' | 'never' | undefined;
  const timeoutSeconds = options.count('timeout');
  const start = () => client.call('putApp', {
    params: { app: resolved.name },
    body: {
      ...source, services: [...rest], build: options.flag('build'), forceRecreate: options.flag('forceRecreate'), removeOrphans: options.flag('removeOrphans'), dryRun: options.flag('dryRun'),
      ...(pull === undefined ? {} : { pull }), ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    },
  });
  if (options.flag('dryRun')) {
    const operation = await start();
    await printAnswer(context.out, operation, operation.steps.map((step) => inert(step.summary)), options);
    return operation.status === 'failed' ? awaitOperation(client, context, operation, { quiet: true, cancelOnInterrupt: false }) : exitCodes.ok;
  }
  const addresses = async () => (await client.call('getApp', { params: { app: resolved.name } })).addresses.map((address) => address.url);
  return beginOperation(invocation, { start, made: addresses });
}

function problemLinesOf(warnings: Parameters<typeof problemLines>[0]['diagnostics']): string[] {
  return warnings.length === 0 ? [] : problemLines({ code: '', advice: '', diagnostics: warnings });
}
