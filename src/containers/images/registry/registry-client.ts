/**
 * Asks one registry about one repository (OCI distribution-spec 1.1). A token goes to the registry that
 * asked for it and to nobody else: redirects are followed by hand, without it.
 */
import { z } from 'zod';
import { asStrataError, StrataError } from '#base';
import type { Reference } from '../reference.ts';
import { parseChallenge } from './challenge.ts';
import { findCredentials, type Credentials, type Environment } from './credentials.ts';

export interface RegistryClient {
  readonly registry: string;
  /** A path below `/v2/<repository>/`. Settles with a good answer only. @throws StrataError `image.notFound`, `image.unauthorised`, `image.registryUnreachable` */
  get(path: string, options: { readonly accept?: string; readonly from?: number; readonly signal?: AbortSignal | undefined }): Promise<Response>;
}

const answerMs = 30_000;
const maxRedirects = 5;
const tokenSchema = z.object({ token: z.string().optional(), access_token: z.string().optional() });

/** Plain HTTP is for this machine only, as in Docker. */
export function isLoopback(registry: string): boolean {
  const host = registry.replace(/:\d+$/, '');
  return host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

export function openRegistry(reference: Reference, environment: Environment): RegistryClient {
  const { registry, repository } = reference;
  const base = `${isLoopback(registry) ? 'http' : 'https'}://${registry === 'docker.io' ? 'registry-1.docker.io' : registry}`;
  let authorization = '';
  let credentials: Promise<Credentials | undefined> | undefined;

  async function get(path: string, options: { readonly accept?: string; readonly from?: number; readonly signal?: AbortSignal | undefined }): Promise<Response> {
    const url = new URL(`${base}/v2/${repository}/${path}`);
    for (let attempt = 0; ; attempt += 1) {
      const headers = { ...(options.accept === undefined ? {} : { accept: options.accept }), ...(options.from === undefined || options.from === 0 ? {} : { range: `bytes=${options.from}-` }) };
      const answer = await follow(url, { ...headers, ...(authorization === '' ? {} : { authorization }) }, options.signal);
      if (answer.status === 401 && attempt === 0) {
        await answer.body?.cancel();
        authorization = await authorize(answer.headers.get('www-authenticate') ?? '', options.signal);
        continue;
      }
      if (answer.ok) return answer;
      throw await failed(answer, reference);
    }
  }

  async function authorize(header: string, signal: AbortSignal | undefined): Promise<string> {
    const challenge = parseChallenge(header);
    credentials ??= findCredentials(registry, environment);
    const known = await credentials;
    const basic = known === undefined || known.username === '' ? '' : `Basic ${Buffer.from(`${known.username}:${known.password}`).toString('base64')}`;
    if (challenge?.scheme === 'basic') {
      if (basic === '') throw unauthorised(reference, 'it asks for a name and a password, and none are known');
      return basic;
    }
    const realm = challenge?.parameters.get('realm');
    if (realm === undefined) throw unauthorised(reference, 'it does not say how to log in');
    return `Bearer ${await fetchToken(realmUrl(realm), challenge?.parameters.get('service') ?? '', known, basic, signal)}`;
  }

  /** A registry on another machine must not send a password over plain HTTP. */
  function realmUrl(realm: string): URL {
    const url = URL.parse(realm, base);
    if (url === null || !(url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(registry) && isLoopback(url.host)))) throw unauthorised(reference, 'it sends us for a token to an address that is not HTTPS');
    return url;
  }

  async function fetchToken(url: URL, service: string, known: Credentials | undefined, basic: string, signal: AbortSignal | undefined): Promise<string> {
    const scope = `repository:${repository}:pull`;
    const request: RequestInit = known !== undefined && known.identityToken !== ''
      ? { method: 'POST', body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: known.identityToken, service, scope, client_id: 'strata' }) }
      : { headers: basic === '' ? {} : { authorization: basic } };
    if (request.method === undefined) {
      if (service !== '') url.searchParams.set('service', service);
      url.searchParams.set('scope', scope);
    }
    const answer = await reach(url, { ...request, redirect: 'error' }, signal);
    if (!answer.ok) {
      await answer.body?.cancel();
      throw answer.status >= 500 ? unreachable(`answered ${answer.status} to the request for a token`) : unauthorised(reference, known === undefined ? 'it wants a login' : 'it does not accept the login');
    }
    const parsed = tokenSchema.safeParse(JSON.parse(await boundedText(answer, 1024 * 1024)));
    const token = parsed.data?.token ?? parsed.data?.access_token ?? '';
    if (!/^[\x21-\x7e]+$/.test(token)) throw unauthorised(reference, 'it gave no token');
    return token;
  }

  async function follow(start: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal | undefined): Promise<Response> {
    let url = start;
    let sent = headers;
    for (let hop = 0; hop <= maxRedirects; hop += 1) {
      const answer = await reach(url, { headers: { ...sent }, redirect: 'manual' }, signal);
      const location = answer.headers.get('location');
      if (answer.status < 300 || answer.status > 399 || location === null) return answer;
      await answer.body?.cancel();
      const next = URL.parse(location, url);
      if (next === null || !(next.protocol === 'https:' || (next.protocol === 'http:' && url.protocol === 'http:'))) throw unreachable('redirects to an address that is not HTTPS');
      if (next.origin !== url.origin) sent = Object.fromEntries(Object.entries(sent).filter(([name]) => name !== 'authorization'));
      url = next;
    }
    throw unreachable('redirects without end');
  }

  async function reach(url: URL, init: RequestInit, signal: AbortSignal | undefined): Promise<Response> {
    const patience = new AbortController();
    const timer = setTimeout(() => { patience.abort(); }, answerMs);
    const signals = signal === undefined ? [patience.signal] : [patience.signal, signal];
    try {
      return await fetch(url, { ...init, signal: AbortSignal.any(signals) });
    } catch (thrown) {
      signal?.throwIfAborted();
      const reason = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause.message || (thrown.cause as NodeJS.ErrnoException).code : undefined;
      throw unreachable(patience.signal.aborted ? `did not answer within ${answerMs / 1000} s` : `cannot be reached: ${reason ?? asStrataError(thrown, 'fetch').message}`);
    } finally { clearTimeout(timer); }
  }

  function unreachable(why: string): StrataError {
    return new StrataError(`registry ${registry} ${why}`, { code: 'image.registryUnreachable', kind: 'unavailable', advice: 'check the name and the network, or import the image from a file with `strata image import`' });
  }

  return { registry, get };
}

function unauthorised(reference: Reference, why: string): StrataError {
  return new StrataError(`registry ${reference.registry} does not give ${reference.repository} to us: ${why}`, { code: 'image.unauthorised', kind: 'refused', advice: 'log in with `docker login`, or set REGISTRY_AUTH_FILE; a name that does not exist looks the same to some registries' });
}

async function failed(answer: Response, reference: Reference): Promise<StrataError> {
  await answer.body?.cancel();
  if (answer.status === 404) return new StrataError(`registry ${reference.registry} has no ${reference.repository}${reference.tag === undefined ? '' : `:${reference.tag}`}${reference.digest === undefined ? '' : `@${reference.digest}`}`, { code: 'image.notFound', kind: 'notFound', advice: 'check name and tag' });
  if (answer.status === 401 || answer.status === 403) return unauthorised(reference, `it answered ${answer.status}`);
  const busy = answer.status === 429;
  return new StrataError(`registry ${reference.registry} ${busy ? 'has had too many requests from here' : `answered ${answer.status}`}`, { code: 'image.registryUnreachable', kind: 'unavailable', advice: busy ? 'wait a little, or log in' : 'try again later', details: { status: answer.status } });
}

/** A body as text, up to a bound. */
export async function boundedText(answer: Response, maxBytes: number): Promise<string> {
  return (await boundedBytes(answer, maxBytes)).toString('utf8');
}

export async function boundedBytes(answer: Response, maxBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += part.length;
    if (bytes > maxBytes) throw new StrataError(`an answer of the registry is larger than ${maxBytes} bytes`, { code: 'image.refused', kind: 'invalid' });
    parts.push(part);
  }
  return Buffer.concat(parts);
}
