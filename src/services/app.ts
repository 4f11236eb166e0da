/**
 * An app as resolved from its Compose files: closed, complete, with all defaults applied. Everything
 * above the Compose reader works on this and never on YAML.
 */
import type { Architecture } from '#base';
import type { DebianRecipe } from '#containers';

export interface AppSpec {
  readonly name: string; // RFC 1123 label
  readonly workingDir: string;
  readonly files: readonly string[];
  readonly services: readonly ServiceSpec[]; // by name
  readonly volumes: readonly VolumeSpec[];
}

export interface VolumeSpec {
  readonly name: string; // key in the file
  readonly external: boolean;
  readonly sizeBytes: number;
  readonly labels: Readonly<Record<string, string>>;
}

export interface FileMount {
  readonly target: string;
  readonly content: string; // base64; secrets are redacted in every view
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly secret: boolean;
  readonly name: string;
}

export type ServiceMount =
  | { readonly kind: 'volume'; readonly volume: string; readonly target: string; readonly readOnly: boolean; readonly subpath?: string }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly sizeBytes?: number; readonly mode?: number };

export interface ServiceProbe {
  readonly test: { readonly kind: 'command'; readonly argv: readonly string[] } | { readonly kind: 'http'; readonly port: number; readonly path: string } | { readonly kind: 'tcp'; readonly port: number };
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
}

export interface PublishedPort {
  readonly hostAddress: string; // '0.0.0.0' or as given
  readonly hostPort: number; // 0 = choose a free one
  readonly containerPort: number;
  readonly protocol: 'tcp' | 'udp';
  /** http: balanced per request; tcp: per connection. From app_protocol, else by the well-known port. Of UDP ports it says nothing. */
  readonly application: 'http' | 'tcp';
}

export type AppEngine = 'auto' | 'qemu' | 'uml';

export interface ServiceSpec {
  readonly name: string;
  readonly architecture: Architecture;
  readonly image: { readonly kind: 'reference'; readonly reference: string; readonly pullPolicy: 'always' | 'missing' | 'never' } | { readonly kind: 'debian'; readonly recipe: DebianRecipe; readonly contextDir: string; readonly reference: string };
  readonly command: readonly string[] | null; // null = the image's
  readonly entrypoint: readonly string[] | null;
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDir: string | null;
  readonly user: string | null;
  readonly groupAdd: readonly string[];
  readonly hostname: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly replicas: number;
  readonly ports: readonly PublishedPort[];
  readonly expose: readonly { readonly port: number; readonly protocol: 'tcp' | 'udp' }[];
  readonly mounts: readonly ServiceMount[];
  readonly files: readonly FileMount[]; // configs and secrets
  readonly dependsOn: readonly { readonly service: string; readonly condition: 'started' | 'healthy' | 'completed'; readonly required: boolean; readonly restart: boolean }[];
  readonly healthcheck: ServiceProbe | 'none' | null; // null = the image's
  readonly restart: { readonly policy: 'no' | 'on-failure' | 'always' | 'unless-stopped'; readonly maxAttempts?: number };
  readonly limits: { readonly cpus?: number; readonly memoryBytes?: number; readonly pids?: number };
  readonly reservations: { readonly cpus?: number; readonly memoryBytes?: number };
  readonly readOnly: boolean;
  readonly init: boolean;
  readonly tty: boolean;
  readonly privileged: boolean;
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly stopGraceMs: number;
  readonly stopSignal: string | null;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly shmBytes: number;
  readonly extraHosts: readonly { readonly name: string; readonly address: string }[];
  readonly dns: readonly string[];
  readonly aliases: readonly string[]; // network aliases
  readonly engine: AppEngine;
  readonly isolation: 'shared' | 'dedicated';
  /** Further replicas go on from a copy of one that is ready; undefined: each starts. */
  readonly start?: 'clone';
  /** Run in each clone before it is ready. */
  readonly afterClone?: readonly string[];
  /** How far at least its guest is kept from others; undefined: `emulated`, or what an engine that is named gives. */
  readonly leastIsolation?: 'process' | 'emulated' | 'hardware';
  /** What it mostly does; undefined: as it is seen to do. */
  readonly workload?: 'compute' | 'requests' | 'processes';
}
