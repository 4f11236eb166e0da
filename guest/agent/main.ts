/**
 * The guest OS' /init: drivers for the line first, then the line, then everything else in small steps, so that the
 * host hears of the guest as early as possible. Pid 1 never exits; whatever goes wrong is answered or logged.
 */
import * as os from 'os';
import type { AgentMethod } from '../protocol/messages.ts';
import { enterRoot, loadModule, modulesIn, mountEssentials, mountRest } from './boot.ts';
import { callHandlers } from './calls.ts';
import { startReaping } from './children.ts';
import { complain } from './complain.ts';
import { linkDisks } from './disk-links.ts';
import { driverParameters, findDisksAtStart } from './disk-drivers.ts';
import { setKernelValue } from './files.ts';
import { Line } from './line.ts';
import { after } from './loop.ts';
import { bringUpCard } from './network.ts';

mountEssentials();
// Descriptors 0 to 2 must be taken, or a container's pipe could become one of them.
for (let fd = os.open('/dev/console', os.O_RDWR); fd < 3; fd = os.open('/dev/null', os.O_RDWR)) if (fd < 0) break;
for (const name of modulesIn('first')) loadModule(name);

/** Time for containers to stop when the power button is pressed. */
const powerButtonGraceMs = 20_000;

let markReady: () => void = () => undefined;
const ready = new Promise<void>((resolve) => { markReady = resolve; });
const line = new Line((value) => { void answer(value); });
const handlers = callHandlers(line, ready);
// Without this the kernel would restart the machine by itself.
setKernelValue('/proc/sys/kernel/ctrl-alt-del', '0');
startReaping(() => line.lookAgain(), () => { void handlers.powerOff({ graceMs: powerButtonGraceMs }); });

const openTries = 400;
const openEveryMs = 5;
function openLine(left: number): void {
  try {
    line.open();
  } catch (error) {
    if (left === 0) return complain((error as Error).message);
    after(openEveryMs, () => openLine(left - 1));
  }
}
openLine(openTries);

/** One driver or one mount at a time; between them the host is heard. */
const steps: (() => void)[] = [...modulesIn('rest').map((name) => () => { loadModule(name, driverParameters(name)); findDisksAtStart(name); }), enterRoot, mountRest, bringUpCard];
function nextStep(): void {
  const step = steps.shift();
  if (step === undefined) {
    after(0, linkDisks); // nobody who waits for the guest waits for this
    return markReady();
  }
  try { step(); } catch (error) { complain(`boot: ${(error as Error).message}`); }
  after(0, nextStep);
}
after(1, nextStep);

interface Request { readonly id: number; readonly method: AgentMethod; readonly params: never }

async function answer(value: unknown): Promise<void> {
  const request = value as Request;
  const handler = Object.hasOwn(handlers, request.method) ? handlers[request.method] as (params: never) => unknown : undefined;
  try {
    if (handler === undefined) throw new Error(`unknown method ${String(request.method)}`);
    line.send({ id: request.id, result: await handler(request.params) });
  } catch (error) {
    line.send({ id: request.id, error: { code: codeOf(error as Error), message: (error as Error).message } });
  }
}

/** spawn reports '<errno> <program>', or 'chdir <errno> <folder>': 2 is ENOENT, 13 EACCES, 8 ENOEXEC. */
function codeOf(error: Error): string {
  const { code } = error as { code?: string };
  if (code !== undefined) return code;
  if (error.message.startsWith('chdir ')) return 'noWorkingFolder';
  if (error.message.startsWith('2 ')) return 'commandNotFound';
  if (error.message.startsWith('13 ') || error.message.startsWith('8 ')) return 'notExecutable';
  return 'failed';
}
