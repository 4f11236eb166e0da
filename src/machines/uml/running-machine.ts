/** A UML machine whose process runs, as the port wants it. */
import { StrataError } from '#base';
import type { RunningMachine } from '../engine.ts';
import { readConsoleRing, tellUml, type KeeperRecord } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { awaitExit, endVmm } from '../vmm/end-vmm.ts';
import { vmmSockets, type VmmSockets } from '../vmm/vmm-sockets.ts';
import { watchExit } from '../vmm/watch-exit.ts';
import { readEndOfUml } from './end-of-uml.ts';
import type { StartRecord } from './start-record.ts';
import type { UmlContext } from './uml-context.ts';
import { openUmlDisks } from './uml-disks.ts';
import { jail, umlPlaces } from './uml-places.ts';

/** @param sockets those that a start has opened already */
export function openRunningMachine(context: UmlContext, spec: MachineSpec, record: KeeperRecord, { startedBy }: Pick<StartRecord, 'startedBy'>, sockets: VmmSockets = vmmSockets(umlPlaces(context.instance, spec.id), spec.name)): RunningMachine {
  const places = umlPlaces(context.instance, spec.id);
  const exit = watchExit(context, places, record);
  const disks = openUmlDisks(context, record, spec);
  const tell = async (...commands: readonly string[]) => tellUml(await context.launcher(), record, jail.mconsole, commands);
  return {
    id: spec.id, process: record.vmm, accelerator: 'none', isolation: 'process', startedBy,
    openAgentLine: () => sockets.openAgentLine(),
    openConsole: () => sockets.openConsole(),
    consoleLog: () => readConsoleRing(places.runFolder),
    attachDisk: (disk) => disks.attach(disk),
    detachDisk: (serial) => disks.detach(serial),
    disks: () => disks.list(),
    pause: async () => { await did(tell('stop'), /Already stopped/); },
    resume: async () => { await did(tell('go'), /Not stopped/); },
    // It tells its state to nobody. Whoever stands still refuses to stop; one that runs stops for a moment.
    isPaused: async () => !(await did(tell('stop', 'go'), /Already stopped/)),
    pressPowerButton: async () => { await tell('cad'); },
    kill: async () => {
      await endVmm(record);
      return readEndOfUml(places, await awaitExit(context, places, record));
    },
    exited: exit.promise.then((end) => readEndOfUml(places, end)),
    release: async () => {
      exit.stop();
      sockets.close();
    },
  };
}

const isRefusal = (thrown: unknown, words: RegExp): boolean => thrown instanceof StrataError && thrown.code === 'machine.commandRefused' && words.test(thrown.message);

/** False where it was so already: UML refuses with those words. */
async function did(told: Promise<unknown>, already: RegExp): Promise<boolean> {
  return told.then(() => true, (thrown: unknown) => { if (isRefusal(thrown, already)) return false; throw thrown; });
}
