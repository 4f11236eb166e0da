/**
 * An image as Strata keeps it: one squashfs file named by content, the OCI config it came with, and
 * the references that point at it. Records live in the store as `image/<digest>` and `image-ref/<reference>|<arch>`.
 */
import type { Architecture } from '#base';

/** Names of the containers and the apps that need an image. */
export type ImageUsers = (digest: string, architecture: Architecture) => Promise<{ readonly containers: readonly string[]; readonly apps: readonly string[] }>;

/** The part of an OCI image config that says how to run it (image-spec config.md). */
export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly user: string;
  readonly exposedPorts: readonly string[]; // '80/tcp'
  readonly volumes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly stopSignal: string;
  readonly healthcheck: { readonly test: readonly string[]; readonly intervalMs?: number; readonly timeoutMs?: number; readonly retries?: number; readonly startPeriodMs?: number } | null;
}

export interface Image {
  /** `sha256:…` of the config blob (or of the recipe's inputs): the image's identity. */
  readonly digest: string;
  readonly architecture: Architecture;
  readonly config: ImageConfig;
  /** Bytes of the squashfs. */
  readonly size: number;
  readonly createdAt: number;
  /** Where it came from: 'archive', 'layout', 'registry', 'debian'. */
  readonly origin: string;
  /** For a recipe of a foreign architecture: 'unpacked only' or 'scripts run'; '' otherwise. */
  readonly note: string;
}

/** What a Debian recipe in compose asks for: `build: {context, x-strata: {debian: …}}`. */
export interface DebianRecipe {
  readonly suite: 'bookworm' | 'trixie';
  readonly packages: readonly string[];
  /** Files copied from the build context, applied after the packages: context path → image path. */
  readonly copy: readonly { readonly from: string; readonly to: string; readonly mode?: number }[];
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly workingDir?: string;
  readonly user?: string;
  readonly exposedPorts?: readonly string[];
  readonly stopSignal?: string;
}

export interface ImageProgress { (step: { readonly what: string; readonly done?: number; readonly total?: number }): void }

/** What the rest of Strata may ask of images. */
export interface Images {
  /** From a `docker save` archive or an OCI image layout (folder or tar). Returns one image per platform found. */
  importArchive(path: string, options: { readonly reference?: string; readonly signal?: AbortSignal; readonly progress?: ImageProgress }): Promise<readonly Image[]>;
  /** From a registry by reference (`host:port/name:tag` or `@sha256:…`). */
  pull(reference: string, options: { readonly architecture: Architecture; readonly signal?: AbortSignal; readonly progress?: ImageProgress }): Promise<Image>;
  /** From Debian packages; returns at once when inputs are unchanged. */
  buildDebian(recipe: DebianRecipe, options: { readonly contextDir: string; readonly architecture: Architecture; readonly reference: string; readonly signal?: AbortSignal; readonly progress?: ImageProgress }): Promise<Image>;
  /** By reference or digest, for one architecture. */
  find(referenceOrDigest: string, architecture: Architecture): Promise<Image | undefined>;
  list(): Promise<readonly (Image & { readonly references: readonly string[] })[]>;
  remove(referenceOrDigest: string, options: { readonly usersOf: ImageUsers }): Promise<void>;
  /** Path of the squashfs on the host, read-only. */
  squashfsPath(image: Image): string;
}
