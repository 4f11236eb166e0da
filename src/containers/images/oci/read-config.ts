/** From an OCI config what Strata keeps of it. */
import { architectureOfPlatform, type Architecture } from '#base';
import type { ImageRecord } from '../image-record.ts';
import type { OciConfig } from './oci-documents.ts';

export function imageConfigOf({ config }: OciConfig): ImageRecord['config'] {
  const check = config?.Healthcheck;
  const ms = (name: 'intervalMs' | 'timeoutMs' | 'startPeriodMs', nanoseconds: number | null | undefined) => (nanoseconds === undefined || nanoseconds === null || nanoseconds === 0 ? {} : { [name]: nanoseconds / 1e6 });
  return {
    entrypoint: config?.Entrypoint ?? [], command: config?.Cmd ?? [], env: config?.Env ?? [], workingDir: config?.WorkingDir ?? '', user: config?.User ?? '',
    exposedPorts: Object.keys(config?.ExposedPorts ?? {}), volumes: Object.keys(config?.Volumes ?? {}), labels: config?.Labels ?? {}, stopSignal: config?.StopSignal ?? '',
    healthcheck: check === undefined || check === null || (check.Test ?? []).length === 0 ? null : {
      test: check.Test ?? [], ...ms('intervalMs', check.Interval), ...ms('timeoutMs', check.Timeout), ...ms('startPeriodMs', check.StartPeriod),
      ...(check.Retries === undefined || check.Retries === null || check.Retries === 0 ? {} : { retries: check.Retries }),
    },
  };
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
