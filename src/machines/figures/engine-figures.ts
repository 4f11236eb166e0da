/** What an engine costs a guest on this host, in three figures: user code, system calls, new processes. */
import { z } from 'zod';
import { architectures } from '#base';
import { engineNames } from '../machine.ts';

export const engineFiguresSchema = z.strictObject({
  engine: z.enum(engineNames),
  architecture: z.enum(architectures),
  accelerator: z.enum(['kvm', 'tcg', 'none']),
  stepNanos: z.number().positive().describe('one step of a loop in user code, the same program in each guest'),
  callNanos: z.number().positive().describe('one system call that does next to nothing'),
  forkMicros: z.number().positive().describe('one process: forked, run, waited for'),
  load: z.number().describe('load average of the host when it began; other work makes the figures worse'),
  measuredAt: z.int(),
});
export type EngineFigures = z.infer<typeof engineFiguresSchema>;
