/** `deploy:` of a service: how many, with what, restarted how. */
import { z } from 'zod';
import { closed, number, refused, text } from './field.ts';

const size = z.union([text, z.number()]);

export const deploySchema = z.union([z.null(), closed({
  mode: text.optional(),
  replicas: number.optional(),
  resources: closed({
    limits: closed({ cpus: number.optional(), memory: size.optional(), pids: number.optional() }).optional(),
    reservations: closed({ cpus: number.optional(), memory: size.optional(), generic_resources: refused, devices: refused }).optional(),
  }).optional(),
  restart_policy: closed({ condition: text.optional(), max_attempts: number.optional(), delay: refused, window: refused }).optional(),
  endpoint_mode: text.optional(),
  labels: refused,
  update_config: closed({ parallelism: refused, delay: refused, failure_action: refused, monitor: refused, max_failure_ratio: refused, order: refused }).optional(),
  rollback_config: closed({ parallelism: refused, delay: refused, failure_action: refused, monitor: refused, max_failure_ratio: refused, order: refused }).optional(),
  placement: closed({ constraints: refused, preferences: refused, max_replicas_per_node: refused }).optional(),
})]);
