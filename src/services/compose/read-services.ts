/** Reads each wanted service and the volumes they mount, and has them checked together. */
import type { ServiceSpec, VolumeSpec } from '../app.ts';
import { checkApp, type Checked } from './check-app.ts';
import type { Selection } from './select-services.ts';
import { readService } from './service/read-service.ts';
import { keyAt, pairsOf, type ProjectReading, type ServiceReading } from './service/service-reading.ts';
import { parseBytes } from './values/parse-bytes.ts';
import { keyPlace, nearest, type TreePlace } from './yaml/tree.ts';

export async function readServices(project: ProjectReading, selection: Selection): Promise<{ services: ServiceSpec[]; volumes: VolumeSpec[] }> {
  const checked: Checked[] = [];
  for (const reading of selection.wanted.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    checkName(reading);
    const spec = await readService(reading);
    if (spec !== undefined) checked.push({ reading, spec: { ...spec, dependsOn: spec.dependsOn.filter(({ service }) => !selection.dropped.has(`${reading.name} ${service}`)) } });
  }
  if (selection.names.size === 0) project.report.error(keyPlace(project.tree, ['services']), 'compose.noServices', 'the file has no services', 'add `services:`');
  else if (selection.wanted.length === 0 && !project.report.failed) project.report.error(keyPlace(project.tree, ['services']), 'compose.noServices', 'every service belongs to a profile that is not active', 'use --profile');
  checkApp(checked, selection.wanted, project);
  return { services: checked.map(({ spec }) => spec), volumes: readVolumes(checked, project) };
}

/** A service's name is a host name, and part of its containers' names. */
function checkName(reading: ServiceReading): void {
  const { name, project } = reading;
  // Names with other characters have been refused already.
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name) || !/^[a-zA-Z0-9._-]{1,255}$/.test(name)) return;
  const better = name.toLowerCase().replaceAll(/[._]/g, '-').replaceAll(/^-+|-+$/g, '').slice(0, 63);
  project.report.error(keyAt({ ...reading, tree: project.tree }, 'services', name), 'compose.badName', `${JSON.stringify(name)} cannot be a service's name: it is a host name too`, `call it ${better}`);
}

/** Only volumes that somebody mounts are made. */
function readVolumes(checked: readonly Checked[], project: ProjectReading): VolumeSpec[] {
  const used = new Set(checked.flatMap(({ spec }) => spec.mounts.flatMap((mount) => (mount.kind === 'volume' ? [mount.volume] : []))));
  return [...project.volumes].filter(([name]) => used.has(name)).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, source]) => {
    const place = (...path: string[]): TreePlace => nearest(project.tree, ['volumes', name, ...path]).place;
    if (source?.name !== undefined && source.name !== `${project.name}_${name}`) project.report.warn(place('name'), 'compose.notYet', `volumes.${name}.name is not used: the volume is called ${project.name}_${name}, and belongs to this app alone`, 'take it out');
    if (source?.driver !== undefined && source.driver !== 'local') project.report.error(place('driver'), 'compose.refused', `volumes.${name}.driver cannot be ${JSON.stringify(source.driver)}`, 'leave it out, or write local');
    return { name, external: false, sizeBytes: sizeOf(name, source?.['x-strata']?.size, place('x-strata', 'size'), project), labels: Object.fromEntries(pairsOf(source?.labels).map(([label, value]) => [label, value ?? ''])) };
  });
}

/** The disk is sparse: it takes what is written. */
const defaultVolumeBytes = 8 * 1024 ** 3;
const leastVolumeBytes = 16 * 1024 ** 2;
const mostVolumeBytes = 64 * 1024 ** 4;

function sizeOf(name: string, written: string | number | undefined, place: TreePlace, { report }: ProjectReading): number {
  if (written === undefined) return defaultVolumeBytes;
  const bytes = parseBytes(written);
  if (bytes !== undefined && bytes >= leastVolumeBytes && bytes <= mostVolumeBytes) return bytes;
  report.error(place, 'compose.badSize', `volumes.${name}.x-strata.size must be a size from 16m to 64t, not ${JSON.stringify(written)}`, 'write 10g');
  return defaultVolumeBytes;
}
