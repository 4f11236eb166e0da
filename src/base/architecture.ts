/** Processor architectures, in the kernel's words, and their names in the OCI, Debian and QEMU worlds. */
export const architectures = ['x86_64', 'aarch64'] as const;
export type Architecture = (typeof architectures)[number];

/** OCI platform (`linux/amd64`) of an architecture, and its Debian name. */
export const ociArchitecture = { x86_64: 'amd64', aarch64: 'arm64' } as const satisfies Record<Architecture, string>;
export const debianArchitecture = ociArchitecture;

/** The host's own architecture. */
export const hostArchitecture: Architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/** `linux/arm64`, `arm64`, `linux/arm64/v8`, `aarch64` → `aarch64`; undefined for what Strata has no guest for. */
export function architectureOfPlatform(platform: string): Architecture | undefined {
  const parts = platform.split('/');
  const name = parts.length === 1 ? parts[0] : parts[1];
  if (parts.length > 1 && parts[0] !== 'linux') return undefined;
  if (name === 'amd64' || name === 'x86_64') return 'x86_64';
  if (name === 'arm64' || name === 'aarch64') return 'aarch64';
  return undefined;
}
