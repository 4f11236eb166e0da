/**
 * Carries out one operation of a container's plan. Each is idempotent: run twice it does nothing the second
 * time, so a crash between any two steps is mended by the next round.
 */
import { asStrataError, failpoint, StrataError, waitUntil, type Clock, type Instance } from '#base';
import type { FormatDisk, Machines } from '#machines';
import type { Records } from '#store';
import type { ContainerSpec } from './container.ts';
import type { GuestSession } from './guest-sessions.ts';
import type { Images } from './images/image.ts';
import type { MachineTurns } from './machine-turns.ts';
import type { ContainerOperation } from './plan-container.ts';
import { ensureVolume } from './ensure-volume-disk.ts';
import { imageSerial, volumeDisk, type Volume } from './volume.ts';

/** From the plugging of a disk to its being seen by a busy guest. */
const diskLimitMs = 20_000;
/** For the command in a clone, and as long again until its health check passes. */
const goOnLimitMs = 30_000;
/** How often a guest is asked if a disk has gone; unplugging takes a busy one some tens of milliseconds. */
const goneEveryMs = 20;

export interface ContainerPerformer {
  readonly instance: Instance;
  readonly machines: Machines;
  readonly images: Images;
  readonly turns: MachineTurns;
  readonly clock: Clock;
  /** Size that a volume's record asks for. @throws StrataError `container.volumeMissing` */
  readonly volumes: Records<Volume>;
  volumeBytes(id: string): Promise<number>;
  readonly formatDisk: FormatDisk | undefined;
  /** Serials of disks that other containers of the machine still use. */
  serialsInUse(machineId: string, exceptContainer: string): Promise<ReadonlySet<string>>;
}

/** What the operation needs to know of its container; `spec` is undefined where its record is gone. */
export interface PerformContext {
  readonly id: string;
  readonly machineId: string;
  readonly spec: ContainerSpec | undefined;
  readonly session: GuestSession | undefined;
  /** Told before it is started in the ordinary way although it was to be a clone. */
  startsInstead(why: string): Promise<void>;
}

export async function performContainerOperation(deps: ContainerPerformer, operation: ContainerOperation, context: PerformContext): Promise<void> {
  failpoint(`${operation.kind}.before`);
  if (operation.kind === 'container.start') await start(deps, context);
  else if (operation.kind === 'container.goOn') await goOn(deps, context);
  else if (operation.kind === 'container.removeStray') await removeStray(operation.stray, context);
  else if (operation.kind === 'container.stop') await stop(context);
  else if (operation.kind === 'container.remove') await remove(context);
  else if (operation.kind === 'container.releaseDisks') await releaseDisks(deps, context);
  failpoint(`${operation.kind}.after`);
}

async function start(deps: ContainerPerformer, context: PerformContext): Promise<void> {
  const spec = required(context.spec, context.id);
  const session = required(context.session, context.id);
  const image = await deps.images.find(spec.image.digest, spec.image.architecture);
  if (image === undefined) {
    throw new StrataError(`image ${spec.image.reference} (${spec.image.digest.slice(0, 19)}) of container ${spec.name} is not on this host`, {
      code: 'container.imageMissing', kind: 'unavailable', advice: 'run `strata up` again: it brings the image back',
    });
  }
  const disks = [{ serial: imageSerial(image.digest), path: deps.images.squashfsPath(image), format: 'raw' as const, readOnly: true }];
  for (const id of spec.volumeIds) {
    await ensureVolume(deps.instance, deps.volumes, id, await deps.volumeBytes(id), deps.formatDisk);
    disks.push({ ...volumeDisk(deps.instance, id), format: 'raw' as const });
  }
  await deps.turns.inTurn(context.machineId, () => Promise.all(disks.map((disk) => deps.machines.attachDisk(context.machineId, disk))));
  failpoint('container.start.attached');
  // A plugged disk is there for the guest a moment later; without it the first start would fail and be tried again.
  await session.connection.call('awaitDisks', { serials: disks.map((disk) => disk.serial), timeoutMs: diskLimitMs }, { timeoutMs: diskLimitMs + 10_000 });
  await session.change('containerStart', { spec: spec.guest }, { timeoutMs: 120_000 });
}

/** Whatever it fails of, the guest has nothing of it then, and it is started. */
async function goOn(deps: ContainerPerformer, context: PerformContext): Promise<void> {
  const { origin, guest } = required(context.spec, context.id);
  const session = required(context.session, context.id);
  if (origin?.way !== 'clone') return start(deps, context);
  try {
    await session.change('containerGoOn', { from: origin.from, spec: guest, command: origin.command, limitMs: goOnLimitMs }, { timeoutMs: 3 * goOnLimitMs });
    session.forget(origin.from);
  } catch (thrown) {
    const error = asStrataError(thrown, 'going on as a clone');
    if (error.code !== 'agent.refused') throw error;
    session.forget(origin.from);
    await context.startsInstead(error.message);
    failpoint('container.goOn.refused');
    await start(deps, context);
  }
}

async function removeStray(stray: string, context: PerformContext): Promise<void> {
  const session = required(context.session, context.id);
  await session.connection.call('containerKill', { id: stray, signal: 'SIGKILL' }).catch(() => undefined); // it did nothing here that would have to be ended well
  await session.connection.call('containerRemove', { id: stray }, { timeoutMs: 60_000 });
  session.forget(stray);
}

async function stop(context: PerformContext): Promise<void> {
  const session = required(context.session, context.id);
  const grace = context.spec?.guest.stopGraceMs ?? 10_000;
  await session.change('containerStop', { id: context.id }, { timeoutMs: grace + 30_000 });
}

async function remove(context: PerformContext): Promise<void> {
  const session = required(context.session, context.id);
  // The agent stops it with its own signal and grace; the limit here only catches a wedged guest.
  await session.connection.call('containerRemove', { id: context.id }, { timeoutMs: 10 * 60_000 });
  session.forget(context.id);
}

/**
 * Unplugs disks nobody else in the machine uses, so that a volume can move and an image can be deleted. Who uses
 * one has a record before it plugs it in, so in its turn it is either seen here or plugs the disk in anew. The VMM
 * lets go at once and the guest a moment later: until then it would show the disk to the next who asks for it.
 */
async function releaseDisks(deps: ContainerPerformer, context: PerformContext): Promise<void> {
  const session = required(context.session, context.id);
  await deps.turns.inTurn(context.machineId, async () => {
    const { disks } = await session.connection.call('stats', {});
    const inUse = await deps.serialsInUse(context.machineId, context.id);
    for (const serial of disks.filter((one) => (one.startsWith('img-') || one.startsWith('v')) && !inUse.has(one))) {
      await session.connection.call('releaseDisk', { serial });
      await deps.machines.detachDisk(context.machineId, serial);
      await waitUntil(async () => !(await session.connection.call('stats', {})).disks.includes(serial), { what: `the guest lets go of the disk ${serial}`, limitMs: diskLimitMs, everyMs: goneEveryMs, clock: deps.clock });
    }
  });
}

function required<T>(value: T | undefined, id: string): T {
  if (value === undefined) throw new StrataError(`container ${id} cannot be acted on: its record or its machine's agent is gone`, { code: 'container.gone', kind: 'unavailable' });
  return value;
}
