/** `strata logs`: lines of an app's containers, with the container's name in a colour of its own. */
import type { LogLine } from '#client';
import { requireAppName } from '../choose-app.ts';
import { paint, shadeOf, wantsColour } from '../colour.ts';
import { UsageError, exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const query = { service: args.length === 0 ? undefined : [...args], tail: tailOf(options.text('tail')), since: options.text('since'), follow: options.flag('follow') || undefined };
  const client = await context.client();
  const app = await requireAppName(client, context, options);
  const print = printer(context.out, options.text('output') ?? 'text', {
    colour: wantsColour(context.out, context.env), times: options.flag('timestamps'), prefix: !options.flag('noLogPrefix'), terminal: context.out.isTTY === true,
  });
  for await (const line of client.stream('getAppLogs', { params: { app }, query, signal: context.interrupted })) await print(line);
  return exitCodes.ok;
}

function tailOf(text: string | undefined): number | undefined {
  if (text === undefined || text === 'all') return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--tail wants a number or all, not '${text}'`);
  return Number(text);
}

interface Look { readonly colour: boolean; readonly times: boolean; readonly prefix: boolean; readonly terminal: boolean }

function printer(out: NodeJS.WriteStream, format: string, look: Look): (line: LogLine) => Promise<void> {
  let widest = 0;
  return async (line) => {
    widest = Math.max(widest, line.container.length);
    const text = format === 'text' ? textOf(line, widest, look) : JSON.stringify(line);
    if (!out.write(`${text}\n`)) await new Promise<void>((resolve) => { out.once('drain', resolve); });
  };
}

function textOf(line: LogLine, widest: number, look: Look): string {
  const name = `${line.container.padEnd(widest)} | `;
  const prefix = look.prefix ? (look.colour ? paint(name, shadeOf(line.container)) : name) : '';
  return `${prefix}${look.times ? `${line.at} ` : ''}${look.terminal ? tame(line.text, look.colour) : line.text}`;
}

/** On a terminal a container may colour its text, and do nothing else to it. */
export function tame(text: string, colour: boolean): string {
  const kept = text.replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[PX^_][^\u001b]*(?:\u001b\\)?|.?)/gs, (sequence) => (colour && /^\u001b\[[\d;:]*m$/.test(sequence) ? sequence : ''));
  const plain = kept.replace(/[\u0000-\u0008\u000a-\u001a\u001c-\u001f\u007f-\u009f]/g, '');
  return colour && plain.includes('\u001b') ? `${plain}\u001b[0m` : plain;
}
