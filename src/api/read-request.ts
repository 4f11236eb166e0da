/**
 * From bytes to a validated request: bounded body, strict UTF-8, bounded depth, closed schemas. Nothing
 * of a request is used before it passed here.
 */
import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import { StrataError } from '#base';
import { parameterSchema, type RequestShape } from '#contract';
import { invalidRequest, type FieldError } from './problems.ts';

export const maxBodyBytes = 4 * 1024 * 1024;
export const maxJsonDepth = 32;
const maxQueryValues = 512;

export interface ValidRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

/** @throws StrataError `api.invalidRequest` naming every field that is wrong, `api.bodyTooLarge`, `api.unsupportedMediaType` */
export async function readRequest(message: IncomingMessage, shape: RequestShape, params: Readonly<Record<string, string>>, search: URLSearchParams): Promise<ValidRequest> {
  const raw = await readBody(message);
  const errors: FieldError[] = [];
  for (const [name, value] of Object.entries(params)) collect(parameterSchema.safeParse(value), `/path/${name}`, errors);
  const query = readQuery(shape, search, errors);
  const body = readJsonBody(message, shape, raw, errors);
  if (errors.length > 0) throw invalidRequest(errors.slice(0, 32));
  return { params, query, body };
}

function readQuery(shape: RequestShape, search: URLSearchParams, errors: FieldError[]): Record<string, unknown> {
  const values: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  if (search.size > maxQueryValues) errors.push({ pointer: '/query', detail: `more than ${maxQueryValues} values` });
  else for (const name of search.keys()) values[name] = search.getAll(name).length === 1 ? search.get(name) : search.getAll(name);
  if (shape.query === undefined) {
    for (const name of Object.keys(values).slice(0, 8)) errors.push({ pointer: `/query/${name.slice(0, 64)}`, detail: 'is not known here' });
    return {};
  }
  return (collect(shape.query.safeParse({ ...values }), '/query', errors) ?? {}) as Record<string, unknown>;
}

function readJsonBody(message: IncomingMessage, shape: RequestShape, raw: Buffer, errors: FieldError[]): unknown {
  if (shape.body === undefined) {
    if (raw.length > 0) errors.push({ pointer: '/body', detail: 'this request takes no body' });
    return undefined;
  }
  if (raw.length > 0) requireJson(message);
  const value = raw.length === 0 ? {} : parseJson(raw);
  return collect(shape.body.safeParse(value), '/body', errors);
}

function requireJson(message: IncomingMessage): void {
  const type = (message.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  const encoding = message.headers['content-encoding'] ?? 'identity';
  if (type === 'application/json' && encoding === 'identity') return;
  throw new StrataError(`a body of type '${(type ?? '').slice(0, 80)}' (${encoding.slice(0, 40)}) cannot be read`, {
    code: 'api.unsupportedMediaType', kind: 'invalid', advice: 'send Content-Type: application/json without Content-Encoding',
  });
}

/** Strict UTF-8, bounded depth, then JSON. @throws StrataError `api.invalidRequest` */
export function parseJson(raw: Uint8Array): unknown {
  let text: string;
  try { text = new TextDecoder('utf-8', { fatal: true }).decode(raw); } catch (error) {
    throw new StrataError('the body is not UTF-8', { code: 'api.invalidRequest', kind: 'invalid', cause: error });
  }
  if (jsonDepth(text) > maxJsonDepth) throw invalidRequest([{ pointer: '/body', detail: `nested deeper than ${maxJsonDepth}` }]);
  try { return JSON.parse(text) as unknown; } catch (error) {
    throw new StrataError(`the body is not JSON: ${(error as Error).message.slice(0, 200)}`, { code: 'api.invalidRequest', kind: 'invalid', cause: error });
  }
}

/** Deepest nesting of brackets outside strings. */
export function jsonDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (quoted) {
      if (code === 0x5c) at += 1;
      else if (code === 0x22) quoted = false;
    } else if (code === 0x22) quoted = true;
    else if (code === 0x5b || code === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (code === 0x5d || code === 0x7d) depth -= 1;
  }
  return deepest;
}

/** The whole body. @throws StrataError `api.bodyTooLarge` as soon as that is known */
async function readBody(message: IncomingMessage): Promise<Buffer> {
  const tooLarge = () => new StrataError(`a body may have at most ${maxBodyBytes} bytes`, { code: 'api.bodyTooLarge', kind: 'invalid' });
  if (Number(message.headers['content-length'] ?? 0) > maxBodyBytes) throw tooLarge();
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    message.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes <= maxBodyBytes) { parts.push(part); return; }
      message.pause();
      reject(tooLarge());
    });
    message.on('end', () => resolve(Buffer.concat(parts)));
    message.on('error', reject);
    message.on('close', () => reject(new StrataError('the client left before its request was whole', { code: 'api.requestTimeout', kind: 'invalid' })));
  });
}

function collect(result: z.ZodSafeParseResult<unknown>, pointer: string, errors: FieldError[]): unknown {
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    const path = issue.path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1').slice(0, 64)}`).join('');
    errors.push({ pointer: pointer + path, detail: issue.message.slice(0, 300) });
  }
  return undefined;
}
