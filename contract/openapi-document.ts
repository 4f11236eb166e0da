/**
 * The OpenAPI 3.1 document, made from the routes. Checked in as openapi.json (tools/generate-contract.ts)
 * so that a change of the API is seen in review; a test proves it fresh.
 */
import { z } from 'zod';
import { endpoints, upgradeProtocol, type Endpoint, type OperationId } from './endpoints.ts';
import { problemSchema } from './problem.ts';
import { parameterNames, parameterSchema, requestShape, type RequestShape } from './requests.ts';
import { answers, tags, type AnswerShape } from './routes.ts';

type Json = Record<string, unknown>;
type Shape = Endpoint & RequestShape & AnswerShape;

/** The whole document; the same for the same code. */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {};
  for (const id of Object.keys(endpoints) as OperationId[]) {
    const path = paths[endpoints[id].path] ??= {};
    path[endpoints[id].method.toLowerCase()] = operationOf(id);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Strata', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' }, description: 'Served on a UNIX socket that only root may open.' },
    tags: tags.map((name) => ({ name })),
    paths,
    components: { schemas: componentSchemas() },
  };
}

function operationOf(id: OperationId): Json {
  const shape: Shape = { ...endpoints[id], ...requestShape(id), ...answers[id] };
  return {
    operationId: id,
    summary: shape.summary,
    tags: [shape.tag],
    ...parametersOf(id, shape),
    ...(shape.body === undefined ? {} : { requestBody: { required: !shape.body.safeParse({}).success, content: { 'application/json': { schema: schemaOf(shape.body) } } } }),
    ...(shape.start === undefined ? {} : { 'x-strata-stream': { protocol: upgradeProtocol, start: schemaOf(shape.start) } }),
    responses: responsesOf(shape),
  };
}

function parametersOf(id: OperationId, shape: Shape): Json {
  const inPath = parameterNames(id).map((name) => ({ name, in: 'path', required: true, schema: schemaOf(parameterSchema) }));
  const properties = shape.query === undefined ? {} : ((schemaOf(shape.query)['properties'] ?? {}) as Record<string, Json>);
  const inQuery = Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: false, schema }));
  const ifMatch = shape.revisioned === true && shape.method !== 'GET' && inPath.length > 0
    ? [{ name: 'If-Match', in: 'header', required: false, schema: { type: 'string' }, description: 'ETag that must still hold' }] : [];
  const all = [...inPath, ...inQuery, ...ifMatch];
  return all.length === 0 ? {} : { parameters: all };
}

function responsesOf(shape: Shape): Json {
  const failure = { default: { description: 'What went wrong', content: { 'application/problem+json': { schema: schemaOf(problemSchema) } } } };
  if (shape.stream === 'upgrade') return { 101: { description: `Switched to ${upgradeProtocol}: frames of a type byte, a length and a payload` }, ...failure };
  const schema = schemaOf(shape.answer as z.ZodType);
  if (shape.stream === 'sse') return { 200: { description: 'Server-sent events whose id is the revision', content: { 'text/event-stream': { schema } } }, ...failure };
  if (shape.stream === 'lines') return { 200: { description: 'One JSON value a line', content: { 'application/jsonl': { schema } } }, ...failure };
  const headers = {
    ...(shape.revisioned === true ? { ETag: { schema: { type: 'string' } } } : {}),
    ...(isOperation(shape) ? { Location: { description: 'the operation', schema: { type: 'string' } } } : {}),
  };
  return {
    [shape.accepted === true ? 202 : 200]: {
      description: shape.accepted === true ? 'Accepted; work goes on' : 'Done',
      ...(Object.keys(headers).length === 0 ? {} : { headers }),
      content: { [shape.text ?? 'application/json']: { schema } },
    },
    ...failure,
  };
}

/** Whether success is an operation that goes on. */
const isOperation = (shape: Shape): boolean => shape.accepted === true && shape.answer?.meta()?.id === 'Operation';

function componentSchemas(): Json {
  const all = z.toJSONSchema(z.globalRegistry, { io: 'input', uri: reference, unrepresentable: 'any' }).schemas;
  const sorted = Object.entries(all).filter(([name]) => name !== '__shared').sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, schema]) => [name, tidy(schema as Json)]));
}

const reference = (name: string): string => `#/components/schemas/${name}`;

/** A reference where the schema has a name, the schema itself where not. */
function schemaOf(schema: z.ZodType): Json {
  const name = schema.meta()?.id;
  if (name !== undefined) return { $ref: reference(name) };
  return tidy(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Json);
}

/** Takes out what only zod needs, and shows query values as the type they stand for. */
function tidy(value: Json): Json {
  const walk = (one: unknown): unknown => {
    if (Array.isArray(one)) return one.map(walk);
    if (typeof one !== 'object' || one === null) return one;
    const object = one as Json;
    if (typeof object['wire'] === 'object') {
      return { ...(object['wire'] as Json), ...(object['description'] === undefined ? {} : { description: object['description'] }) };
    }
    return Object.fromEntries(Object.entries(object).filter(([key]) => !['$schema', '$id', 'id'].includes(key) || (key === 'id' && typeof object[key] === 'object')).map(([key, inner]) => [key, walk(inner)]));
  };
  return walk(value) as Json;
}
