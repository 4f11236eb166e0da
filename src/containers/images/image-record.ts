/** Records of images in the store: what an image is, and which references point at it. */
import { z } from 'zod';
import { architectures, type Architecture } from '#base';
import { recordsOf, type Records, type Store } from '#store';

const text = z.string().max(64 * 1024);

export const imageConfigSchema = z.strictObject({
  entrypoint: z.array(text), command: z.array(text), env: z.array(text),
  workingDir: text, user: text, exposedPorts: z.array(text), volumes: z.array(text), labels: z.record(z.string(), text), stopSignal: text,
  healthcheck: z.strictObject({
    test: z.array(text), intervalMs: z.number().exactOptional(), timeoutMs: z.number().exactOptional(), retries: z.int().exactOptional(), startPeriodMs: z.number().exactOptional(),
  }).nullable(),
});

export const imageSchema = z.strictObject({
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/), architecture: z.enum(architectures), config: imageConfigSchema,
  size: z.int().nonnegative(), createdAt: z.int(), origin: z.string(), note: z.string(),
});
export type ImageRecord = z.infer<typeof imageSchema>;

export const imageReferenceSchema = z.strictObject({ digest: imageSchema.shape.digest });

export interface ImageRecords {
  readonly images: Records<ImageRecord>;
  readonly references: Records<z.infer<typeof imageReferenceSchema>>;
}

/** Id of both kinds: `<digest or normalised reference>|<architecture>`. */
export const recordId = (name: string, architecture: Architecture): string => `${name}|${architecture}`;
/** The part before the last `|`. */
export const nameOfRecordId = (id: string): string => id.slice(0, id.lastIndexOf('|'));

export function imageRecords(store: Store): ImageRecords {
  return { images: recordsOf(store, 'image', imageSchema), references: recordsOf(store, 'image-ref', imageReferenceSchema) };
}
