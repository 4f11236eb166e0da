/**
 * Starts a machine by taking a pooled one. Where anything fails, nothing is left and the caller starts it in another way.
 */
import { rename } from 'node:fs/promises';
import { asStrataError, failpoint, type Log } from '#base';
import type { RunningMachine } from '../engine.ts';
import type { MachineSpec } from '../machine.ts';
import type { VmmContext } from '../vmm/vmm-context.ts';
import type { VmmPlaces } from '../vmm/vmm-places.ts';
import { makeWay } from './make-way.ts';
import type { MachinePoolPart } from './open-machine-pool.ts';
import type { PooledMember } from './pool-shelf.ts';

/** A machine from the pool answers in milliseconds; one that does not within this is given up. */
export const pooledAnswerLimitMs = 5000;

interface Context<Shape, Member extends PooledMember> extends Pick<VmmContext, 'instance' | 'network'> {
  readonly log: Log;
  readonly pool: MachinePoolPart<Shape, Member> | undefined;
}

export interface Taking<Member> {
  readonly engine: 'qemu' | 'uml';
  readonly spec: MachineSpec;
  readonly places: VmmPlaces;
  /**
   * Tells it who it is and lets it go on.
   * @param handedOver resolves when it lies in the machine's folder and its tap has its name; no guest needs either before it has an identity
   */
  become(member: Member, handedOver: Promise<void>): Promise<RunningMachine>;
  /** Ends what was taken and removes all of it, under both ids; returns the error to be told. */
  giveUp(member: Member, thrown: unknown): Promise<unknown>;
}

/** Undefined where there is none, or the one there was could not be used. */
export async function startPooled<Shape, Member extends PooledMember & { readonly places: VmmPlaces }>(context: Context<Shape, Member>, shape: Shape, taking: Taking<Member>, signal: AbortSignal | undefined): Promise<RunningMachine | undefined> {
  const pooled = context.pool?.take(shape);
  if (pooled === undefined) return undefined;
  try {
    return await handOver(context, pooled, taking, signal);
  } catch (thrown) {
    const error = asStrataError(await taking.giveUp(pooled, thrown), 'taking a pooled machine');
    context.pool?.spoilt(shape);
    if (signal?.aborted === true) throw error;
    context.log.warn({ machineId: taking.spec.id, pooled: pooled.id, error: error.message }, 'a pooled machine could not be used');
    return undefined;
  }
}

/** Both at once: the files are the host's business, and the guest knows nothing of them. Returns or throws when both have ended. */
async function handOver<Member extends PooledMember & { readonly places: VmmPlaces }>(context: Pick<VmmContext, 'instance' | 'network'>, pooled: Member, taking: Taking<Member>, signal: AbortSignal | undefined): Promise<RunningMachine> {
  signal?.throwIfAborted();
  failpoint(`machines.${taking.engine}.taken`);
  const moved = move(context, pooled, taking);
  try {
    return await taking.become(pooled, moved);
  } catch (thrown) {
    await Promise.allSettled([moved]);
    throw thrown;
  }
}

/** Until the rename a daemon that comes later ends it with all of the pool; from there on it is the machine's. */
async function move<Member extends PooledMember & { readonly places: VmmPlaces }>(context: Pick<VmmContext, 'instance' | 'network'>, pooled: Member, { engine, spec, places }: Taking<Member>): Promise<void> {
  const tap = spec.network === null ? undefined : context.network?.handOverTap?.(pooled.id, spec.id); // a program is run for it meanwhile
  try {
    await makeWay(context, pooled.places, places, spec.scratchMiB > 0);
    failpoint(`machines.${engine}.beforeHandOver`);
    await rename(pooled.places.runFolder, places.runFolder);
    failpoint(`machines.${engine}.handedOver`);
    pooled.watch.stop();
  } finally {
    await Promise.allSettled([tap]);
  }
  await tap;
}
