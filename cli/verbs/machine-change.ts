/** `strata machine start|stop|restart|pause|suspend|resume|rm`: one call for each machine named, then waits for its phase. */
import type { Client } from '#client';
import type { Machine } from '#client';
import { awaitMachine, type MachineWait } from '../await-machine.ts';
import type { Context } from '../context.ts';
import { inert } from '../explain.ts';
import { exitCodes, type Invocation, type Options } from '../verb.ts';

export type MachineChange = 'startMachine' | 'stopMachine' | 'restartMachine' | 'pauseMachine' | 'suspendMachine' | 'resumeMachine' | 'removeMachine';

const wanted = { startMachine: ['running'], stopMachine: ['stopped', 'failed'], restartMachine: ['running'], pauseMachine: ['paused'], suspendMachine: ['suspended'], resumeMachine: ['running'], removeMachine: ['gone'] } as const satisfies Record<MachineChange, MachineWait['wanted']>;

export function changeMachines(change: MachineChange): (invocation: Invocation) => Promise<number> {
  return async ({ context, args, options }) => {
    const client = await context.client();
    for (const name of args) {
      const before = change === 'restartMachine' || change === 'resumeMachine' ? await client.call('getMachine', { params: { machine: name } }) : undefined;
      const machine = await request(client, change, name, options);
      if (options.flag('detach')) continue;
      const code = await awaitMachine(client, context, machine, { wanted: wanted[change], timeoutSeconds: options.count('timeout'), ...(change === 'restartMachine' && before !== undefined ? { otherThan: before.startedAt } : {}) });
      if (code !== exitCodes.ok) return code;
      if (change === 'resumeMachine' && before?.phase === 'suspended') await tellBoot(client, context, machine);
    }
    return exitCodes.ok;
  };
}

/** Its wish has come true, but not what was hoped for with it. */
async function tellBoot(client: Client, context: Context, { id, name }: Machine): Promise<void> {
  const { startedBy } = await client.call('getMachine', { params: { machine: id } });
  if (startedBy === null || startedBy.way === 'suspended') return;
  context.say(inert(`${name}: warning: it booted anew instead of going on: what was in its memory is lost. Why: ${startedBy.why || 'it ended as soon as it had gone on'}`));
}

function request(client: Client, change: MachineChange, name: string, options: Options): Promise<Machine> {
  const params = { machine: name };
  const force = options.flag('force');
  if (change === 'startMachine' || change === 'pauseMachine' || change === 'suspendMachine' || change === 'resumeMachine') return client.call(change, { params, body: {} });
  if (change === 'removeMachine') return client.call(change, { params, query: { force: force || undefined } });
  return client.call(change, { params, body: { force } });
}
