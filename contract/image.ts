/** OCI images as the API shows them. */
import { z } from 'zod';
import { architectureField, listOf, pathField, timeField } from './fields.ts';

export const imageSchema = z.strictObject({
  digest: z.string().describe('sha256:…'),
  references: z.array(z.string()),
  architecture: architectureField,
  size: z.int().describe('bytes on disk, shared by all machines'),
  origin: z.string().describe('archive, layout, registry or debian'),
  note: z.string().describe('for a recipe of a foreign architecture: unpacked only, or scripts run'),
  createdAt: timeField,
}).meta({ id: 'Image' });
export type Image = z.infer<typeof imageSchema>;
export const imageListSchema = listOf(imageSchema).meta({ id: 'ImageList' });

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
