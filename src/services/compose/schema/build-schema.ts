/** `build:` of a service: only a Debian recipe under `x-strata` can be built for now. */
import { z } from 'zod';
import { closed, refused, text, texts, value } from './field.ts';

export const debianSchema = closed({
  suite: z.enum(['bookworm', 'trixie']),
  packages: texts.optional(),
  copy: z.array(z.strictObject({ from: text, to: text, mode: z.union([z.int(), text]).optional() })).optional(),
  entrypoint: texts.optional(),
  command: texts.optional(),
  env: z.record(text, value).optional(),
  working_dir: text.optional(),
  user: text.optional(),
  exposed_ports: z.array(z.union([text, z.int()])).optional(),
  stop_signal: text.optional(),
});
export type DebianSource = z.infer<typeof debianSchema>;

export const buildXStrataSchema = z.strictObject({ debian: debianSchema });

export const buildSchema = z.union([text, closed({
  context: text.optional(),
  dockerfile: text.optional(),
  dockerfile_inline: text.optional(),
  'x-strata': buildXStrataSchema.optional(),
  entitlements: refused, args: refused, ssh: refused, labels: refused, cache_from: refused, cache_to: refused, no_cache: refused, additional_contexts: refused,
  network: refused, pull: refused, target: refused, shm_size: refused, extra_hosts: refused, isolation: refused, privileged: refused, secrets: refused, tags: refused,
  ulimits: refused, platforms: refused, provenance: refused, sbom: refused,
})]);
