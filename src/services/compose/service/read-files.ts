/** configs and secrets as files inside the container; their content is read now, so that an app is complete in itself. */
import type { FileMount } from '../../app.ts';
import { resolvePath } from '../load-documents.ts';
import { readProjectFile } from '../read-project-file.ts';
import { keyPlace, nearest } from '../yaml/tree.ts';
import { mostFileBytes } from './read-mounts.ts';
import { containerPathAt, modeAt, numberAt, wrong, type ServiceReading } from './service-reading.ts';

type Kind = 'configs' | 'secrets';

export async function readFiles(reading: ServiceReading, kind: Kind): Promise<FileMount[]> {
  const files: FileMount[] = [];
  for (const [index, written] of (reading.source[kind] ?? []).entries()) {
    const grant = typeof written === 'string' ? { source: written } : written;
    const path = [kind, index];
    const content = await contentOf(reading, kind, grant.source, path);
    const target = containerPathAt(reading, targetOf(kind, grant.source, grant.target), ...path, ...(grant.target === undefined ? [] : ['target']));
    const owner = (value: string | number | undefined, key: string): number => numberAt(reading, value, { whole: true, most: 0xffff_fffe }, ...path, key) ?? 0;
    const mode = modeAt(reading, grant.mode, ...path, 'mode') ?? 0o444;
    const [uid, gid] = [owner(grant.uid, 'uid'), owner(grant.gid, 'gid')];
    if (content !== undefined && target !== undefined) files.push({ target, content: content.toString('base64'), mode, uid, gid, secret: kind === 'secrets', name: grant.source });
  }
  return files;
}

function targetOf(kind: Kind, source: string, target: string | undefined): string {
  const wanted = target ?? source;
  if (wanted.startsWith('/')) return wanted;
  return kind === 'secrets' ? `/run/secrets/${wanted}` : `/${wanted}`;
}

async function contentOf(reading: ServiceReading, kind: Kind, name: string, path: readonly (string | number)[]): Promise<Buffer | undefined> {
  const { project } = reading;
  const source = project[kind].get(name);
  const noun = kind.slice(0, -1);
  if (source === undefined) {
    wrong(reading, path, kind === 'configs' ? 'compose.unknownConfig' : 'compose.unknownSecret', `names the ${noun} ${name}, which the top-level ${kind} lack`, `add ${name} to the top-level ${kind}`);
    return undefined;
  }
  const given = (['file', 'environment', 'content'] as const).filter((key) => source[key] !== undefined);
  if (given.length !== 1) {
    if (source.external === undefined) project.report.error(keyPlace(project.tree, [kind, name]), 'compose.badFile', `${kind}.${name} must have one of file, environment${kind === 'configs' ? ', content' : ''}`, 'add file:');
    return undefined;
  }
  const place = nearest(project.tree, [kind, name, given[0] as string]).place;
  if (source.content !== undefined) return Buffer.from(source.content);
  if (source.environment !== undefined) {
    const value = project.lookup(source.environment);
    if (value === undefined) project.report.error(place, 'compose.missingVariable', `${kind}.${name} takes the variable ${source.environment}, which is not set`, `set ${source.environment} in the environment or in .env`);
    return value === undefined ? undefined : Buffer.from(value);
  }
  const full = resolvePath(source.file as string, place, project.home);
  const read = await readProjectFile(full, mostFileBytes);
  if (!('bytes' in read)) project.report.error(place, 'compose.fileMissing', `${kind}.${name}: ${full} cannot be read: ${read.why}`, 'check the path');
  return 'bytes' in read ? read.bytes : undefined;
}
