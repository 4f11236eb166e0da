/** The one shape of every error: RFC 9457 problem details, with our code, advice and places in files. */
import { z } from 'zod';

/** One remark on a file the user wrote. */
export const diagnosticSchema = z.strictObject({
  severity: z.enum(['error', 'warning']),
  code: z.string().describe('stable, such as compose.unknownKey; empty where there is none'),
  file: z.string(),
  line: z.int().min(1).describe('counted from 1'),
  column: z.int().min(1).describe('counted from 1'),
  message: z.string(),
  advice: z.string().describe('what to do next; empty where there is nothing to say'),
}).meta({ id: 'Diagnostic' });
export type Diagnostic = z.infer<typeof diagnosticSchema>;

export const problemSchema = z.strictObject({
  type: z.string().describe('urn:strata:problem:<code>'),
  title: z.string().describe('the kind of problem, in words'),
  status: z.int().min(400).max(599),
  detail: z.string().describe('what failed, to what'),
  instance: z.string().describe('path of the request'),
  code: z.string().describe('stable, for programs: machine.hostFull'),
  advice: z.string().describe('what to do next; empty where there is nothing to say'),
  requestId: z.string().describe('stands in the daemon\'s log too'),
  errors: z.array(z.strictObject({ pointer: z.string().describe('JSON pointer into the request: /body/name, /query/tail'), detail: z.string() })),
  diagnostics: z.array(diagnosticSchema),
  details: z.record(z.string(), z.unknown()).optional().describe('facts for programs: limits, numbers, names'),
}).meta({ id: 'Problem' });
export type Problem = z.infer<typeof problemSchema>;
