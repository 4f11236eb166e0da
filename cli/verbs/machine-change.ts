/** `strata machine start|stop|restart|pause|suspend|resume|rm`: one call for each machine named, then waits for its phase. */
import type { Client } from '#client';
import type { Machine } from '#client';
import { awaitMachine, type MachineWait } from '../await-machine.ts';
import { exitCodes, type Invocation, type Options } from '../verb.ts';

export type MachineChange = 'startMachine' | 'stopMachine' | 'restartMachine' | 'pauseMachine' | 'suspendMachine' | 'resumeMachine' | 'removeMachine';

const wanted = { startMachine: ['running'], stopMachine: ['stopped', 'failed'], restartMachine: ['running'], pauseMachine: ['paused'], suspendMachine: ['suspended'], resumeMachine: ['running'], removeMachine: ['gone'] } as const satisfies Record<MachineChange, MachineWait['wanted']>;

export function changeMachines(change: MachineChange): (invocation: Invocation) => Promise<number> {
  return async ({ context, args, options }) => {
    const client = await context.client();
    for (const name of args) {
      const before = change === 'restartMachine' ? await client.call('getMachine', { params: { machine: name } }) : undefined;
      const machine = await request(client, change, name, options);
      if (options.flag('detach')) continue;
      const code = await awaitMachine(client, context, machine, { wanted: wanted[change], timeoutSeconds: options.count('timeout'), ...(before === undefined ? {} : { otherThan: before.startedAt }) });
      if (code !== exitCodes.ok) return code;
    }
    return exitCodes.ok;
  };
}

function request(client: Client, change: MachineChange, name: string, options: Options): Promise<Machine> {
  const params = { machine: name };
  const force = options.flag('force');
  if (change === 'startMachine' || change === 'pauseMachine' || change === 'suspendMachine' || change === 'resumeMachine') return client.call(change, { params, body: {} });
  if (change === 'removeMachine') return client.call(change, { params, query: { force: force || undefined } });
  return client.call(change, { params, body: { force } });
}
