/** A whole Compose file. */
import { z } from 'zod';
import { closed, named, pairs, refused, text, textOrTexts } from './field.ts';
import { serviceSchema } from './service-schema.ts';

export const volumeSchema = z.union([z.null(), closed({
  name: text.optional(), driver: text.optional(), driver_opts: refused, external: refused, labels: pairs.optional(),
  'x-strata': z.strictObject({ size: z.union([text, z.int()]).optional() }).optional(),
})]);
export type VolumeSource = z.infer<typeof volumeSchema>;

export const networkSchema = z.union([z.null(), closed({
  name: text.optional(), driver: text.optional(), driver_opts: refused, ipam: refused, external: refused, internal: refused, enable_ipv4: refused, enable_ipv6: refused,
  attachable: refused, labels: pairs.optional(),
})]);

export type NetworkSource = z.infer<typeof networkSchema>;

export const secretSchema = closed({ name: text.optional(), content: refused, environment: text.optional(), file: text.optional(), external: refused, labels: pairs.optional(), driver: refused, driver_opts: refused, template_driver: refused });
export const configSchema = closed({ name: text.optional(), content: text.optional(), environment: text.optional(), file: text.optional(), external: refused, labels: pairs.optional(), template_driver: refused });
export type ConfigSource = z.infer<typeof configSchema>;

export const includeSchema = z.array(z.union([text, closed({ path: textOrTexts, env_file: textOrTexts.optional(), project_directory: text.optional() })]));

export const composeSchema = closed({
  version: z.union([text, z.number()]).optional(), name: text.optional(), include: includeSchema.optional(),
  services: z.union([z.null(), named(serviceSchema)]).optional(),
  volumes: z.union([z.null(), named(volumeSchema)]).optional(),
  networks: z.union([z.null(), named(networkSchema)]).optional(),
  secrets: z.union([z.null(), named(secretSchema)]).optional(),
  configs: z.union([z.null(), named(configSchema)]).optional(),
  models: refused,
});
