/** A machine whose VMM runs, as the port wants it. */
import { diskOperations } from '../backends/disk-operations.ts';
import type { RunningMachine } from '../engine.ts';
import { readConsoleRing, type KeeperRecord } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { awaitExit, endVmm } from '../vmm/end-vmm.ts';
import { vmmSockets, type VmmSockets } from '../vmm/vmm-sockets.ts';
import { watchExit } from '../vmm/watch-exit.ts';
import { takeRunning } from './copies/take-snapshot.ts';
import { machinePlaces } from './machine-places.ts';
import type { QemuContext } from './qemu-context.ts';
import { openPluggedDisks } from './plugged-disks.ts';
import type { Monitor } from './qmp/open-monitor.ts';
import { endMigration, suspendMachine } from './suspended/suspend-machine.ts';
import { pathsOfSets } from './suspended/list-disks.ts';
import { dropSuspended } from './suspended/suspended-record.ts';
import { reachesBackend } from './reaches-backend.ts';
import { refuseHeldElsewhere } from './refuse-held-elsewhere.ts';
import { standsStill } from './stands-still.ts';
import type { StartRecord } from './start-record.ts';

export function openRunningMachine(context: QemuContext, spec: MachineSpec, record: KeeperRecord, start: StartRecord, monitor: Monitor, sockets = socketsOf(context, spec)): RunningMachine {
  const { accelerator, startedBy } = start;
  const places = machinePlaces(context.instance, spec.id);
  const exit = watchExit(context, places, record);
  const disks = openPluggedDisks({ launcher: context.launcher, passing: places.passing, monitor });
  const operations = diskOperations({ monitor, clock: context.clock, handIn: disks.handIn, takeBack: disks.takeBack, pathsOf: (filenames) => pathsOfSets(monitor, record.vmm.pid, filenames) });
  return {
    id: spec.id, process: record.vmm, startedBy, accelerator, isolation: accelerator === 'kvm' ? 'hardware' : 'emulated',
    openAgentLine: () => sockets.openAgentLine(),
    openConsole: () => sockets.openConsole(),
    consoleLog: () => readConsoleRing(places.runFolder),
    attachDisk: async (disk) => {
      await refuseHeldElsewhere(context, spec.id, [disk]);
      await disks.attach(disk);
    },
    detachDisk: async (serial) => {
      await operations.endMerges(serial);
      await disks.detach(serial);
    },
    disks: () => disks.list(),
    reachesBackend: (serial) => reachesBackend(monitor, serial),
    diskOperations: operations,
    pause: async () => { await monitor.execute('stop'); },
    resume: async () => {
      // Of a suspension that was cut off: what runs on makes it old. But where QEMU is gone it is all there is.
      await endMigration(monitor);
      await dropSuspended(places);
      await monitor.execute('cont');
    },
    suspend: async () => {
      await operations.endMerges();
      await operations.aside(() => suspendMachine({ context, spec, places, vmm: record, start, monitor, serials: () => disks.list() }));
    },
    snapshot: (wish) => takeRunning({ context, spec, places, vmm: record, start, monitor, jobs: operations, handInto: disks.handInto, serials: () => disks.list() }, wish),
    isPaused: () => standsStill(monitor),
    pressPowerButton: async () => { await monitor.execute('system_powerdown'); },
    kill: async () => {
      await endVmm(record);
      return awaitExit(context, places, record);
    },
    exited: exit.promise,
    release: async () => {
      exit.stop();
      monitor.close();
      sockets.close();
    },
  };
}

export const socketsOf = (context: QemuContext, spec: Pick<MachineSpec, 'id' | 'name'>): VmmSockets => vmmSockets(machinePlaces(context.instance, spec.id), spec.name);
