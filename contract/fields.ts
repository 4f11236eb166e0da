/** Field schemas that several nouns share, each with its sentence for the OpenAPI document. */
import { z } from 'zod';

export const nameField = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be of lower-case letters, digits and hyphens, at most 63, with a letter or digit at both ends').describe('RFC 1123 label: at most 63 lower-case letters, digits and hyphens');
/** A path parameter: a name, an id or a reference; what it means is decided by the noun. */
export const handleField = z.string().min(1).max(255).refine((text) => !/[\u0000-\u001f\u007f]/.test(text), 'control characters are not allowed');
export const timeField = z.iso.datetime().describe('RFC 3339, UTC');
export const pathField = z.string().min(1).max(4096).startsWith('/').refine((text) => !text.includes('\0'), 'NUL is not allowed').describe('absolute path on the host');
export const architectureField = z.enum(['x86_64', 'aarch64']).describe('in the kernel\'s words');
export const isolationField = z.enum(['hardware', 'emulated', 'process']).describe('hardware: KVM; emulated: TCG; process: user-mode Linux');
export const engineField = z.enum(['qemu', 'uml', 'fake']).describe('what runs the machine');

/** Query values arrive as text; `wire` is the type the OpenAPI document shows. */
export const flagQuery = z.enum(['true', 'false']).transform((text) => text === 'true').meta({ wire: { type: 'boolean' } });
export const countQuery = z.string().regex(/^\d{1,15}$/, 'must be a whole number').transform(Number).meta({ wire: { type: 'integer', minimum: 0 } });
export const listQuery = z.union([handleField, z.array(handleField).max(256)])
  .transform((value) => (typeof value === 'string' ? [value] : value)).meta({ wire: { type: 'array', items: { type: 'string' } } });

/** `{items: […]}` of a noun. */
export const listOf = <T extends z.ZodType>(item: T) => z.strictObject({ items: z.array(item) });
