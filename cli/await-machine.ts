/** Waits until a machine is in the phase that was wished, saying on stderr what it does. */
import { ClientProblem, type Client } from '#client';
import type { Machine, MachinePhase } from '#client';
import type { Context } from './context.ts';
import { inert } from './explain.ts';
import { exitCodes } from './verb.ts';

const lookEveryMs = 100;
const usualLimitSeconds = 120;

export interface MachineWait {
  /** 'gone': until there is no such machine. */
  readonly wanted: readonly (MachinePhase | 'gone')[];
  readonly timeoutSeconds: number | undefined;
  /** Also wait until the present start is another one than this (restart). */
  readonly otherThan?: string | null;
}

/** Exit code 0, 1 where it failed, 124 after the limit, 130 at Ctrl-C. */
export async function awaitMachine(client: Client, context: Context, started: Machine, wait: MachineWait): Promise<number> {
  const begun = performance.now();
  const end = begun + (wait.timeoutSeconds ?? usualLimitSeconds) * 1000;
  let said = '';
  for (;;) {
    const machine = await look(client, started.id);
    const phase = machine?.phase ?? 'gone';
    const isOther = wait.otherThan === undefined || machine?.startedAt !== wait.otherThan;
    if (wait.wanted.includes(phase) && isOther) {
      context.say(`${started.name}: ${phase} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
      return exitCodes.ok;
    }
    if (machine === undefined) throw new ClientProblem({ code: 'machine.gone', detail: `the machine ${started.name} was removed meanwhile` });
    if (phase === 'failed' && !wait.wanted.includes('gone')) throw new ClientProblem({ code: 'machine.failed', detail: `${started.name} failed: ${machine.why}`, advice: `\`strata machine logs ${started.name}\` shows its console` });
    if (phase !== said) { context.say(`${started.name}: ${phase}${machine.why === '' ? '' : ` (${inert(machine.why)})`}`); said = phase; }
    if (context.interrupted.aborted) return exitCodes.interrupted;
    if (performance.now() > end) {
      context.say(`strata: ${started.name} is still ${phase} after ${Math.round((end - begun) / 1000)} s`);
      return exitCodes.timeout;
    }
    await new Promise((resolve) => { setTimeout(resolve, lookEveryMs); });
  }
}

async function look(client: Client, id: string): Promise<Machine | undefined> {
  try { return await client.call('getMachine', { params: { machine: id } }); } catch (error) {
    if (error instanceof ClientProblem && error.status === 404) return undefined;
    throw error;
  }
}
