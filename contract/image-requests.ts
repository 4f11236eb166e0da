/** What may be asked of images. */
import { z } from 'zod';
import { pathField } from './fields.ts';

export const imagePullSchema = z.strictObject({
  reference: z.string().min(1).max(512).describe('registry/name:tag or @sha256:…'),
  platform: z.string().max(64).optional().describe('linux/arm64; default: the host\'s'),
}).meta({ id: 'ImagePull' });
export type ImagePull = z.infer<typeof imagePullSchema>;

export const imageImportSchema = z.strictObject({
  path: pathField.describe('image archive or OCI layout on the host'),
  reference: z.string().min(1).max(512).optional().describe('name to give it; default: its own'),
}).meta({ id: 'ImageImport' });
export type ImageImport = z.infer<typeof imageImportSchema>;
