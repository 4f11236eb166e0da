/** OCI images as the API shows them. */
import { z } from 'zod';
import { architectureField, listOf, timeField } from './fields.ts';

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
