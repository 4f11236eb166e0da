/** A machine whose VMM runs, as the port wants it. */
import { connect, type Socket } from 'node:net';
import { isAlive, StrataError } from '#base';
import type { RunningMachine, VmmExit } from '../engine.ts';
import { readConsoleRing, type KeeperRecord } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { awaitExit, endVmm, watchKeeper } from './end-vmm.ts';
import { machinePlaces, type MachinePlaces } from './machine-places.ts';
import type { QemuContext } from './open-qemu-engine.ts';
import { openPluggedDisks } from './plugged-disks.ts';
import type { Monitor } from './qmp/open-monitor.ts';

const watchAgainMs = 200;

export function openRunningMachine(context: QemuContext, spec: MachineSpec, record: KeeperRecord, accelerator: 'kvm' | 'tcg', monitor: Monitor): RunningMachine {
  const places = machinePlaces(context.instance, spec.id);
  const sockets = new Set<Socket>();
  const exit = watchExit(context, places, record);
  const disks = openPluggedDisks({ launcher: context.launcher, passing: places.passing, monitor });
  let line: Socket | undefined;
  const keepTrack = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    return socket;
  };
  return {
    id: spec.id, process: record.vmm, accelerator, isolation: accelerator === 'kvm' ? 'hardware' : 'emulated',
    openAgentLine: async () => {
      if (line !== undefined && !line.destroyed) throw new StrataError(`the agent's line of machine ${spec.name} is open already`, { code: 'machine.lineBusy', kind: 'conflict' });
      line = keepTrack(await openSocket(places.agent));
      return line;
    },
    openConsole: async () => keepTrack(await openSocket(places.console)),
    consoleLog: () => readConsoleRing(places.runFolder),
    attachDisk: (disk) => disks.attach(disk),
    detachDisk: (serial) => disks.detach(serial),
    disks: () => disks.list(),
    pressPowerButton: async () => { await monitor.execute('system_powerdown'); },
    kill: async () => {
      await endVmm(record);
      return awaitExit(context, places, record);
    },
    exited: exit.promise,
    release: async () => {
      exit.stop();
      monitor.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** The keeper's watch socket closes when it ends; a socket that closes while it lives is opened again. */
function watchExit(context: QemuContext, places: MachinePlaces, record: KeeperRecord): { readonly promise: Promise<VmmExit>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<VmmExit>();
  let stopped = false;
  let stopWatch: () => void = () => undefined;
  const watch = (): void => { stopWatch = watchKeeper(places, () => { void look().catch(again); }); };
  const again = (): void => { if (!stopped) setTimeout(() => { void look().catch(again); }, watchAgainMs).unref(); };
  const look = async (): Promise<void> => {
    if (stopped) return;
    if (await isAlive(record.keeper) && await isAlive(record.vmm)) {
      setTimeout(() => { if (!stopped) watch(); }, watchAgainMs).unref();
      return;
    }
    const exit = await awaitExit(context, places, record);
    stopped = true;
    resolve(exit);
  };
  watch();
  return { promise, stop: () => { stopped = true; stopWatch(); } };
}

function openSocket(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    const onError = (cause: Error): void => reject(new StrataError(`the machine's socket ${path} cannot be reached: ${cause.message}`, { code: 'machine.notRunning', kind: 'unavailable', cause }));
    socket.once('error', onError);
    socket.once('connect', () => {
      socket.off('error', onError);
      resolve(socket);
    });
  });
}
