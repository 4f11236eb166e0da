/** The contract as values: fresh document, complete tables, frames that survive any cutting. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { answers, openApiDocument } from './document.ts';
import { endpoints, pathOf, type Endpoint, type OperationId } from './endpoints.ts';
import { machineActions, machinePhases, permissionOf, permissionsIn } from './permitted-actions.ts';
import { parameterNames, requestShape } from './requests.ts';
import { StreamFrameDecoder, StreamFrameError, encodeStreamFrame, streamFrameTypes, type StreamFrame } from './stream-frames.ts';

type Json = Record<string, unknown>;
const document = JSON.parse(readFileSync(new URL('openapi.json', import.meta.url), 'utf8')) as Json & { paths: Record<string, Record<string, Json>>; components: { schemas: Json } };
const all = Object.entries(endpoints) as [OperationId, Endpoint][];

test('[A12] openapi.json is what the routes say', () => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  deepEqual(document, JSON.parse(JSON.stringify(openApiDocument(version))), 'run `node tools/generate-contract.ts`');
});

test('[A12] each endpoint stands in the document with summary, answer and the problem', () => {
  equal(Object.values(document.paths).flatMap(Object.keys).length, all.length);
  for (const [id, endpoint] of all) {
    const operation = document.paths[endpoint.path]?.[endpoint.method.toLowerCase()];
    equal(operation?.['operationId'], id);
    ok((operation['summary'] as string).length >= 8, id);
    const responses = operation['responses'] as Record<string, unknown>;
    ok('default' in responses, id);
    ok(Object.keys(responses).some((status) => ['101', '200', '202'].includes(status)), id);
    ok(endpoint.stream === 'upgrade' ? requestShape(id).start !== undefined : 'answer' in answers[id], `${id} has no answer`);
  }
});

test('[A12] every reference of the document leads somewhere', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1] as string);
  ok(references.length > 50);
  for (const reference of new Set(references)) ok((reference.split('/').at(-1) as string) in document.components.schemas, reference);
});

test('[A12] no two endpoints can be meant by one request, except a word that wins over a parameter', () => {
  const shapes = all.map(([, endpoint]) => `${endpoint.method} ${endpoint.path.replaceAll(/\{\w+\}/g, '{}')}`);
  equal(new Set(shapes).size, shapes.length);
});

test('[A12] only changes have bodies, and every schema is closed', () => {
  for (const [id, endpoint] of all) {
    const shape = requestShape(id);
    if (endpoint.method === 'GET' || endpoint.method === 'DELETE') equal(shape.body, undefined, id);
    for (const schema of [shape.query, shape.body, shape.start]) {
      if (schema !== undefined) equal(schema.safeParse({ ...Object.create(null) as object, unknownField: 1 }).success, false, id);
    }
  }
});

test('[A12] pathOf puts every parameter in, encoded', () => {
  for (const [id] of all) {
    const names = parameterNames(id);
    const path = pathOf(id, Object.fromEntries(names.map((name) => [name, 'a/b c'])));
    equal(path.includes('{'), false);
    equal(path.split('a%2Fb%20c').length, names.length + 1);
  }
  throws(() => pathOf('getMachine', {}), /machine/);
});

test('[A12] the table of permitted actions answers for every action and phase, with a reason where not', () => {
  for (const action of machineActions) {
    const answered = machinePhases.map((phase) => permissionOf(action, phase));
    ok(answered.some((one) => one.permitted), action);
    for (const one of answered) equal(one.permitted, one.reason === '');
  }
  equal(permissionOf('start', 'running').reason, 'start needs a machine that is defined or suspended or stopped or failed; this one is running');
  equal(permissionOf('exec', 'paused').reason, 'exec needs a machine that is running; this one is paused');
  equal(permissionOf('suspend', 'running', 'qemu').permitted, true);
  equal(permissionOf('suspend', 'running', 'uml').permitted, false);
});

test('[A12] disks that back ends serve keep a machine from all that would freeze or copy it, in every phase, and from nothing else', () => {
  const refused = machineActions.filter((action) => permissionsIn('running', 'qemu', ['data', 'more'])[action].reason.includes('back ends'));
  deepEqual(refused, ['suspend', 'snapshot', 'restore', 'clone', 'fork']);
  for (const action of refused) for (const phase of machinePhases) equal(permissionOf(action, phase, null, ['data']).permitted, false);
  equal(permissionOf('fork', 'running', 'qemu', ['data', 'more']).reason, 'it has disks that back ends serve (data, more), which cannot be frozen with the others');
  for (const action of machineActions.filter((one) => !refused.includes(one))) for (const phase of machinePhases) deepEqual(permissionOf(action, phase, 'qemu', ['data']), permissionOf(action, phase, 'qemu'));
});

test('[A9] frames survive any cutting of the bytes', () => {
  const frame = fc.record({ type: fc.constantFrom(...Object.values(streamFrameTypes)), payload: fc.uint8Array({ maxLength: 300 }) });
  fc.assert(fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 20 }), (frames, cuts) => {
    const bytes = Buffer.concat(frames.map((one) => encodeStreamFrame(one.type, one.payload)));
    const decoder = new StreamFrameDecoder();
    const seen: StreamFrame[] = [];
    for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
      const next = at + (cuts[turn % cuts.length] as number);
      seen.push(...decoder.push(bytes.subarray(at, next)));
      at = next;
    }
    deepEqual(seen.map((one) => ({ type: one.type, payload: Buffer.from(one.payload).toString('hex') })), frames.map((one) => ({ type: one.type, payload: Buffer.from(one.payload).toString('hex') })));
  }), { numRuns: 200 });
});

test('[A10] a frame that claims to be huge is refused before its bytes come', () => {
  throws(() => new StreamFrameDecoder().push(Uint8Array.from([3, 0xff, 0xff, 0xff, 0xff])), StreamFrameError);
});
