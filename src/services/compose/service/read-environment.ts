/** The environment and labels of a service's containers: from files first, then from the service itself. */
import { resolvePath } from '../load-documents.ts';
import { readEnvFiles, type EnvFile } from '../read-env-files.ts';
import { asList, flagAt, pairsOf, placeAt, wrong, type ServiceReading } from './service-reading.ts';

export async function readEnvironment(reading: ServiceReading): Promise<Record<string, string>> {
  const { project, source } = reading;
  const all = await readEnvFiles(envFilesOf(reading), project.lookup, project.report);
  for (const [name, value] of pairsOf(source.environment)) {
    if (!/^[^=\0]{1,1024}$/.test(name)) wrong(reading, ['environment', name], 'compose.badName', `${JSON.stringify(name)} cannot be the name of a variable`);
    // Named alone: as it is outside, and away where it is not set there.
    const found = value ?? project.lookup(name);
    if (found === undefined) all.delete(name);
    else all.set(name, found);
  }
  return Object.fromEntries([...all].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function envFilesOf(reading: ServiceReading): EnvFile[] {
  const written = reading.source.env_file;
  return asList<string | { path: string; required?: string | boolean | undefined; format?: string | undefined }>(written).map((one, index) => {
    const path = typeof written === 'string' ? ['env_file'] : ['env_file', index];
    const long = typeof one === 'string' ? { path: one } : one;
    const place = typeof one === 'string' ? placeAt(reading, ...path) : placeAt(reading, ...path, 'path');
    if (long.format !== undefined && long.format !== 'raw') wrong(reading, [...path, 'format'], 'compose.refused', `cannot be ${JSON.stringify(long.format)}`, 'leave it out, or write raw');
    return { path: resolvePath(long.path, place, reading.project.home), required: flagAt(reading, long.required, ...path, 'required') ?? true, asked: place, raw: long.format === 'raw' };
  });
}

export async function readLabels(reading: ServiceReading): Promise<Record<string, string>> {
  const { project, source } = reading;
  const files = asList(source.label_file).map((path, index): EnvFile => {
    const asked = typeof source.label_file === 'string' ? placeAt(reading, 'label_file') : placeAt(reading, 'label_file', index);
    return { path: resolvePath(path, asked, project.home), required: true, asked };
  });
  const all = await readEnvFiles(files, project.lookup, project.report);
  for (const [name, value] of pairsOf(source.labels)) all.set(name, value ?? '');
  return Object.fromEntries([...all].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
