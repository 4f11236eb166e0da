/**
 * The guest OS' /init: drivers for the line first, then the line, then everything else, so that the host hears
 * of the guest as early as possible. Pid 1 never exits; whatever goes wrong is answered or logged.
 */
import * as os from 'os';
import type { AgentMethod } from '../protocol/messages.ts';
import { complain, enterRoot, loadModules, mountEssentials, mountRest } from './boot.ts';
import { callHandlers } from './calls.ts';
import { startReaping } from './children.ts';
import { exists } from './files.ts';
import { Line } from './line.ts';
import { bringUpCard } from './network.ts';

mountEssentials();
// Descriptors 0 to 2 must be taken, or a container's pipe could become one of them.
for (let fd = os.open('/dev/console', os.O_RDWR); fd >= 0 && fd < 2; fd = os.open('/dev/null', os.O_RDWR));
for (let fd = os.open('/dev/null', os.O_RDWR); fd >= 0; fd = os.open('/dev/null', os.O_RDWR)) if (fd > 2) { os.close(fd); break; }
loadModules('first');
startReaping();

let markReady: () => void = () => undefined;
const ready = new Promise<void>((resolve) => { markReady = resolve; });
const line = new Line((value) => { void answer(value); });
const handlers = callHandlers(line, ready);

function openLine(left: number): void {
  try {
    line.open();
  } catch (error) {
    if (left === 0) return complain((error as Error).message);
    os.setTimeout(() => openLine(left - 1), 5);
  }
}
openLine(400);

os.setTimeout(() => {
  try {
    if (exists('/modules/first')) enterRoot();
    loadModules('rest');
    mountRest();
    bringUpCard();
  } catch (error) {
    complain(`boot: ${(error as Error).message}`);
  }
  markReady();
}, 0);

interface Request { readonly id: number; readonly method: AgentMethod; readonly params: never }

async function answer(value: unknown): Promise<void> {
  const request = value as Request;
  const handler = handlers[request.method] as ((params: never) => unknown) | undefined;
  try {
    if (handler === undefined) throw new Error(`unknown method ${String(request.method)}`);
    line.send({ id: request.id, result: await handler(request.params) });
  } catch (error) {
    const message = (error as Error).message;
    line.send({ id: request.id, error: { code: codeOf(message), message } });
  }
}

/** spawn reports '<errno> <program>': 2 is ENOENT, 13 EACCES, 8 ENOEXEC. */
function codeOf(message: string): string {
  if (message.startsWith('2 ')) return 'commandNotFound';
  if (message.startsWith('13 ') || message.startsWith('8 ')) return 'notExecutable';
  return 'failed';
}
