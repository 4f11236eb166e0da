/**
 * References of images, read and normalised as Docker does: `nginx` is `docker.io/library/nginx:latest`.
 * Grammar: distribution/reference. The same everywhere, so that `web` and `web:latest` are one image.
 */
import { StrataError } from '#base';

export interface Reference {
  /** Host and port of the registry: `docker.io`, `localhost:5000`. */
  readonly registry: string;
  /** Repository inside it: `library/nginx`. */
  readonly repository: string;
  readonly tag: string | undefined;
  /** `sha256:…` */
  readonly digest: string | undefined;
}

const part = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const repositoryForm = new RegExp(`^${part}(?:/${part})*$`);
const registryForm = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::(\d{1,5}))?$/;
const tagForm = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
export const digestForm = /^sha256:[0-9a-f]{64}$/;

/** @throws StrataError `image.badReference` */
export function parseReference(text: string): Reference {
  const bad = (why: string) => new StrataError(`'${text.slice(0, 200)}' is no image reference: ${why}`, { code: 'image.badReference', kind: 'invalid', advice: 'it looks like [host[:port]/]name[:tag][@sha256:…], in lower case' });
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !digestForm.test(digest)) throw bad('the digest is not sha256 with 64 hexadecimal digits');
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(':');
  const tagged = colon > named.lastIndexOf('/');
  const tag = tagged ? named.slice(colon + 1) : digest === undefined ? 'latest' : undefined;
  if (tag !== undefined && !tagForm.test(tag)) throw bad('the tag has characters a tag cannot have');
  const { registry, repository } = split(tagged ? named.slice(0, colon) : named);
  const port = registryForm.exec(registry);
  if (port === null || Number(port[1] ?? 1) > 65_535) throw bad('the registry is no host name');
  if (!repositoryForm.test(repository)) throw bad(/[A-Z]/.test(repository) ? 'the name must be in lower case' : 'the name has characters a name cannot have');
  if (registry.length + repository.length > 255) throw bad('the name is longer than 255 characters');
  if (/^[0-9a-f]{64}$/.test(named)) throw bad('64 hexadecimal digits are a digest, not a name');
  return { registry, repository, tag, digest };
}

/** The first part is a registry where it looks like a host: a dot, a port, or `localhost`. */
function split(name: string): { readonly registry: string; readonly repository: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  if (slash < 0 || !(first.includes('.') || first.includes(':') || first === 'localhost' || first !== first.toLowerCase())) {
    return { registry: 'docker.io', repository: name.includes('/') ? name : `library/${name}` };
  }
  const registry = first === 'index.docker.io' ? 'docker.io' : first;
  const rest = name.slice(slash + 1);
  return { registry, repository: registry === 'docker.io' && !rest.includes('/') ? `library/${rest}` : rest };
}

/** The one text of a reference: `docker.io/library/nginx:latest`. */
export function formatReference({ registry, repository, tag, digest }: Reference): string {
  return `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

export function normalReference(text: string): string {
  return formatReference(parseReference(text));
}

/** As people write it: without `docker.io/library/`. */
export function familiarReference(normal: string): string {
  return normal.replace(/^docker\.io\/(library\/)?/, '');
}
