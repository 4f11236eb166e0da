/** What may be asked of operations and events. */
import { z } from 'zod';
import { countQuery } from './fields.ts';

export const operationListQuery = z.strictObject({ subject: z.string().min(1).max(255).optional(), limit: countQuery.optional() });
export const eventsQuery = z.strictObject({ since: countQuery.optional().describe('a revision; default: from now') });
