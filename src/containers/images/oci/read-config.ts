/** From an OCI config what Strata keeps of it. */
import { architectureOfPlatform, type Architecture } from '#base';
import type { ImageRecord } from '../image-record.ts';
import type { OciConfig } from './oci-documents.ts';

export function imageConfigOf({ config }: OciConfig): ImageRecord['config'] {
  const { Entrypoint, Cmd, Env, WorkingDir, User, ExposedPorts, Volumes, Labels, StopSignal } = config ?? {};
  return {
    entrypoint: Entrypoint ?? [], command: Cmd ?? [], env: Env ?? [], workingDir: WorkingDir ?? '', user: User ?? '',
    exposedPorts: Object.keys(ExposedPorts ?? {}), volumes: Object.keys(Volumes ?? {}), labels: Labels ?? {}, stopSignal: StopSignal ?? '',
    healthcheck: healthcheckOf(config?.Healthcheck),
  };
}

type OciHealthcheck = NonNullable<OciConfig['config']>['Healthcheck'];

/** Nought and nothing both mean: as the default says. */
function healthcheckOf(check: OciHealthcheck): ImageRecord['config']['healthcheck'] {
  const test = check?.Test ?? [];
  if (!check || test.length === 0) return null;
  const ms = (name: 'intervalMs' | 'timeoutMs' | 'startPeriodMs', nanoseconds: number | null | undefined) => (nanoseconds ? { [name]: nanoseconds / 1e6 } : {});
  return { test, ...ms('intervalMs', check.Interval), ...ms('timeoutMs', check.Timeout), ...ms('startPeriodMs', check.StartPeriod), ...(check.Retries ? { retries: check.Retries } : {}) };
}

export interface Platform { readonly os: string; readonly architecture: string; readonly variant?: string | null | undefined }

export const platformText = ({ os, architecture, variant }: Platform): string => `${os}/${architecture}${variant === undefined || variant === null || variant === '' ? '' : `/${variant}`}`;

/** The architecture of a machine that runs it; undefined for other systems and for variants of processors we do not promise. */
export function architectureOf(platform: Platform): Architecture | undefined {
  if (platform.os !== 'linux') return undefined;
  const variant = platform.variant ?? '';
  const architecture = architectureOfPlatform(`linux/${platform.architecture}`);
  const base = architecture === 'aarch64' ? ['', 'v8', '8'] : ['', 'v1'];
  return base.includes(variant) ? architecture : undefined;
}
