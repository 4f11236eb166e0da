/** Whether a machine's processors stand still. */
import { z } from 'zod';
import type { Monitor } from './qmp/open-monitor.ts';

/** Also one that was stopped for its state to be written down. */
const stopped = ['paused', 'finish-migrate', 'postmigrate'];

export async function standsStill(monitor: Pick<Monitor, 'execute'>): Promise<boolean> {
  const { status } = z.looseObject({ status: z.string().max(50) }).parse(await monitor.execute('query-status'));
  return stopped.includes(status);
}
