/** Has a QEMU that waits for it take its state from a descriptor it was given; it stands still after that. */
import { z } from 'zod';
import { StrataError } from '#base';
import type { QmpConnection } from './qmp/qmp-connection.ts';

export interface StateToRestore {
  /** Number of the descriptor in QEMU. */
  readonly state: number;
  readonly limitMs: number;
  /** 'the template's state'. */
  readonly of: string;
}

const migrationSchema = z.looseObject({ status: z.string().max(50) });

/** @throws StrataError `machine.stateRefused` */
export async function restoreState(qmp: QmpConnection, { state, limitMs, of }: StateToRestore, signal: AbortSignal | undefined): Promise<void> {
  const limit = AbortSignal.any([AbortSignal.timeout(limitMs), ...(signal === undefined ? [] : [signal])]);
  // What QEMU would announce is the card's address as it was frozen; the host knows where each address is.
  await Promise.all([qmp.execute('migrate-set-parameters', { 'announce-rounds': 0 }), qmp.execute('migrate-set-capabilities', { capabilities: [{ capability: 'events', state: true }] })]);
  const events = qmp.events(limit)[Symbol.asyncIterator]();
  const first = events.next();
  const refused = (what: string) => new StrataError(`QEMU ${what} ${of}`, { code: 'machine.stateRefused', kind: 'unavailable' });
  try {
    await qmp.execute('migrate-incoming', { uri: `fd:${state}` });
    for (let next = await first; ; next = await events.next()) {
      if (next.done === true && limit.aborted) throw new StrataError(`QEMU did not take ${of} in time`, { code: 'machine.restoreLate', kind: 'timeout' });
      if (next.done === true) throw refused('did not take');
      const migration = next.value.event === 'MIGRATION' ? migrationSchema.safeParse(next.value.data).data : undefined;
      if (migration?.status === 'failed') throw refused('refuses');
      if (migration?.status === 'completed') return;
    }
  } finally {
    await events.return?.(undefined);
  }
}
