/**
 * The OCI and Docker documents, as far as they are read here: image-spec index, manifest, config, and
 * the manifest.json of `docker save`. What is not named is not read; what is named is checked in shape and size.
 */
import { z } from 'zod';
import { createHash } from 'node:crypto';
import { digestForm } from '../reference.ts';
import { imageRefused } from '../flatten/layer.ts';

export const maxDocumentBytes = 4 * 1024 * 1024;

const text = z.string().max(32 * 1024).refine((value) => !value.includes('\0'), 'holds a NUL');
const texts = z.array(text).max(4096);
const digest = z.string().regex(digestForm, 'is no sha256 digest');
const keys = z.record(text, z.unknown()).refine((value) => Object.keys(value).length <= 1024, 'has too many keys');
const annotations = z.record(z.string().max(512), text).nullish();

export const mediaTypes = {
  indexes: ['application/vnd.oci.image.index.v1+json', 'application/vnd.docker.distribution.manifest.list.v2+json'],
  manifests: ['application/vnd.oci.image.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v2+json'],
} as const;
const layerForm = /^application\/vnd\.(oci\.image\.layer(\.nondistributable)?\.v1\.tar(\+gzip|\+zstd)?|docker\.image\.rootfs\.(diff|foreign\.diff)\.tar(\.gzip|\.zstd)?)$/;

export const descriptorSchema = z.object({
  mediaType: z.string().max(256), digest, size: z.int().nonnegative().max(2 ** 40), annotations,
  platform: z.object({ os: text, architecture: text, variant: text.nullish() }).nullish(),
});
export type Descriptor = z.infer<typeof descriptorSchema>;

export const indexSchema = z.object({ schemaVersion: z.literal(2), mediaType: z.enum(mediaTypes.indexes).nullish(), manifests: z.array(descriptorSchema).max(1024), annotations });
export type ImageIndex = z.infer<typeof indexSchema>;

export const manifestSchema = z.object({
  schemaVersion: z.literal(2), mediaType: z.enum(mediaTypes.manifests).nullish(), config: descriptorSchema,
  layers: z.array(descriptorSchema.extend({ mediaType: z.string().regex(layerForm, 'is no kind of layer that Strata can read') })).max(512),
});
export type ImageManifest = z.infer<typeof manifestSchema>;

const nanoseconds = z.int().nonnegative().nullish();
export const configSchema = z.object({
  os: text, architecture: text, variant: text.nullish(),
  config: z.object({
    Entrypoint: texts.nullish(), Cmd: texts.nullish(), Env: texts.nullish(), WorkingDir: text.nullish(), User: text.nullish(),
    ExposedPorts: keys.nullish(), Volumes: keys.nullish(), Labels: z.record(text, text).nullish(), StopSignal: text.nullish(),
    Healthcheck: z.object({ Test: texts.nullish(), Interval: nanoseconds, Timeout: nanoseconds, Retries: z.int().nonnegative().nullish(), StartPeriod: nanoseconds }).nullish(),
  }).nullish(),
  rootfs: z.object({ type: z.literal('layers'), diff_ids: z.array(digest).max(512) }),
});
export type OciConfig = z.infer<typeof configSchema>;

export const savedSchema = z.array(z.object({ Config: text, RepoTags: texts.nullish(), Layers: texts.max(512) })).max(1024);

export function digestOfBytes(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** @throws StrataError `image.refused` */
export function parseDocument<T>(schema: z.ZodType<T>, bytes: Uint8Array, image: string, what: string): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) { throw imageRefused({ image, layer: what }, 'it is no JSON', cause); }
  refuseAmbiguous(value, image, what);
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw imageRefused({ image, layer: what }, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'wrong shape'}`, parsed.error);
}

/** One document read as an index by one and as a manifest by another is an old trick (CVE-2021-41190). */
function refuseAmbiguous(value: unknown, image: string, what: string): void {
  if (typeof value !== 'object' || value === null) return;
  if ('manifests' in value && ('layers' in value || 'config' in value)) throw imageRefused({ image, layer: what }, 'it is an index and a manifest at once');
  if ('fsLayers' in value || ('schemaVersion' in value && value.schemaVersion === 1)) throw imageRefused({ image, layer: what }, 'it is a manifest of Docker\'s first version, which nobody can check; push the image again with a newer Docker');
}
