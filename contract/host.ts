/** Hosts, what they lack (doctor), and the daemon's own version and readiness. */
import { z } from 'zod';
import { architectureField, engineField, listOf, timeField } from './fields.ts';

export const hostSchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  architecture: architectureField,
  state: z.enum(['ready', 'draining', 'unreachable']),
  processors: z.strictObject({ total: z.int(), promised: z.number().describe('to machines that run'), load1: z.number().describe('load average of one minute') }),
  memory: z.strictObject({ totalBytes: z.int(), promisedBytes: z.int(), availableBytes: z.int().describe('free by the kernel\'s own estimate') }),
  disk: z.strictObject({ path: z.string(), totalBytes: z.int(), availableBytes: z.int() }),
  runs: z.array(z.strictObject({
    architecture: architectureField,
    engine: engineField,
    accelerator: z.enum(['kvm', 'tcg', 'none']),
    works: z.boolean().describe('true only where a guest ran'),
    evidence: z.string(),
  })).describe('what was proved'),
  kernel: z.string(),
  machines: z.int().describe('how many it carries'),
  bootedAt: timeField,
}).meta({ id: 'Host' });
export type Host = z.infer<typeof hostSchema>;
export const hostListSchema = listOf(hostSchema).meta({ id: 'HostList' });

export const doctorItemSchema = z.strictObject({
  name: z.string().describe('qemu-system-x86_64, kvm, nftables'),
  state: z.enum(['ok', 'warning', 'missing', 'broken']),
  version: z.string().describe('as the program says; empty where there is none'),
  message: z.string().describe('what was seen'),
  advice: z.string().describe('how to get it; empty where nothing is to be done'),
}).meta({ id: 'DoctorItem' });
export type DoctorItem = z.infer<typeof doctorItemSchema>;
export const doctorListSchema = listOf(doctorItemSchema).meta({ id: 'DoctorList' });

export const versionSchema = z.strictObject({
  version: z.string(),
  api: z.string().describe('v1'),
  instance: z.string(),
  node: z.string(),
  pid: z.int(),
  startedAt: timeField,
}).meta({ id: 'Version' });
export type Version = z.infer<typeof versionSchema>;

export const readinessSchema = z.strictObject({
  ready: z.boolean(),
  checks: z.array(z.strictObject({ name: z.string(), ready: z.boolean(), message: z.string() })),
}).meta({ id: 'Readiness' });
export type Readiness = z.infer<typeof readinessSchema>;
export const livenessSchema = z.strictObject({ alive: z.literal(true) }).meta({ id: 'Liveness' });
