/** What a matrix asks of machines by their names, and waits for; the host is opened later than this is made. */
import { equal } from 'node:assert/strict';
import { waitUntil } from '#base';
import type { SimulatedHost } from './simulated-host.ts';
import { limits } from './verb-matrix.ts';

export interface AskedMachines {
  /** 'gone' where there is no such machine. */
  phaseOf(name: string): Promise<string>;
  becomes(name: string, phase: string): Promise<void>;
  /** Waits for the operation's end. */
  succeeds(asked: Promise<{ readonly id: string }>): Promise<void>;
  removed(name: string): Promise<void>;
}

export function askMachines(host: () => SimulatedHost): AskedMachines {
  const machines = () => host().daemon.backend.machines;
  const phaseOf: AskedMachines['phaseOf'] = async (name) => (await machines().list()).find((one) => one.name === name)?.phase ?? 'gone';
  const becomes: AskedMachines['becomes'] = async (name, phase) => { await waitUntil(async () => await phaseOf(name) === phase, { what: `${name} is ${phase}`, ...limits }); };
  return {
    phaseOf, becomes,
    async succeeds(asked) {
      const { id } = await asked;
      const { status } = await waitUntil(async () => {
        const one = await host().daemon.backend.operations.get(id);
        return one.finishedAt !== null && one;
      }, { what: 'the operation has ended', ...limits });
      equal(status, 'succeeded');
    },
    async removed(name) {
      if (await phaseOf(name) === 'gone') return;
      await machines().remove(name, { force: true });
      await becomes(name, 'gone');
    },
  };
}
