/**
 * What stands at which path in a container: named volumes, tmpfs, and files of the project. A folder of the
 * host cannot be shared with a virtual machine yet; a single file, read-only, is delivered as a copy.
 */
import { relative } from 'node:path';
import type { FileMount, ServiceMount } from '../../app.ts';
import { resolvePath } from '../load-documents.ts';
import { readProjectFile } from '../read-project-file.ts';
import { parseMount } from '../values/parse-mount.ts';
import { asList, bytesAt, containerPathAt, flagAt, modeAt, placeAt, wrong, type ServiceReading } from './service-reading.ts';

export interface ReadMounts {
  readonly mounts: readonly ServiceMount[];
  readonly files: readonly FileMount[];
}

/** The most that a file may be: it travels in messages and lies in the guest's memory. */
export const mostFileBytes = 1024 * 1024;
const advice = 'use a named volume, or `configs:` for files';

interface LongMount {
  readonly type: string;
  readonly source?: string | undefined;
  readonly target: string;
  readonly readOnly: boolean;
  readonly subpath?: string | undefined;
  readonly tmpfs?: { readonly size?: string | number | undefined; readonly mode?: string | number | undefined } | undefined;
}

export async function readMounts(reading: ServiceReading): Promise<ReadMounts> {
  const mounts: ServiceMount[] = [];
  const files: FileMount[] = [];
  for (const [index, written] of (reading.source.volumes ?? []).entries()) {
    const long = typeof written === 'string' ? longFromText(reading, written, index) : longFromMap(reading, written, index);
    if (long === undefined) continue;
    if (long.type === 'bind') {
      const file = await bindFile(reading, long, index);
      if (file !== undefined) files.push(file);
    } else {
      const mount = long.type === 'tmpfs' ? tmpfsMount(reading, long, index) : volumeMount(reading, long, index);
      if (mount !== undefined) mounts.push(mount);
    }
  }
  return { mounts: [...mounts, ...readTmpfs(reading)], files };
}

function longFromText(reading: ServiceReading, text: string, index: number): LongMount | undefined {
  const short = parseMount(text);
  if (short === undefined) {
    wrong(reading, ['volumes', index], 'compose.badMount', `is no mount: ${JSON.stringify(text)}`, 'write "name:/path" or "name:/path:ro"');
    return undefined;
  }
  const unknown = short.options.filter((option) => !['rw', 'ro', 'z', 'Z'].includes(option));
  if (unknown.length > 0) {
    wrong(reading, ['volumes', index], 'compose.refused', `has options that are not possible: ${unknown.join(', ')}`, 'only ro and rw mean something in a virtual machine');
    return undefined;
  }
  const target = containerPathAt(reading, short.target, 'volumes', index);
  return target === undefined ? undefined : { type: short.kind, source: short.source, target, readOnly: short.options.includes('ro') };
}

function longFromMap(reading: ServiceReading, written: Exclude<NonNullable<ServiceReading['source']['volumes']>[number], string>, index: number): LongMount | undefined {
  const path = ['volumes', index];
  if (!['bind', 'volume', 'tmpfs'].includes(written.type)) {
    wrong(reading, [...path, 'type'], 'compose.refused', `cannot be ${written.type}`, 'use volume, tmpfs or bind');
    return undefined;
  }
  if (written.target === undefined) {
    wrong(reading, path, 'compose.missingKey', 'lacks target', 'add target:');
    return undefined;
  }
  if (flagAt(reading, written.volume?.nocopy, ...path, 'volume', 'nocopy') === false) wrong(reading, [...path, 'volume', 'nocopy'], 'compose.refused', 'cannot be false: a new volume is always empty', 'leave it out');
  const target = containerPathAt(reading, written.target, ...path, 'target');
  const readOnly = flagAt(reading, written.read_only, ...path, 'read_only') ?? false;
  return target === undefined ? undefined : { type: written.type, source: written.source, target, readOnly, subpath: written.volume?.subpath, tmpfs: written.tmpfs };
}

function volumeMount(reading: ServiceReading, { source, target, readOnly, subpath }: LongMount, index: number): ServiceMount | undefined {
  if (source === undefined) {
    wrong(reading, ['volumes', index], 'compose.refused', 'is an anonymous volume, which nobody could find again', 'give it a name, and list the name under the top-level `volumes:`');
    return undefined;
  }
  if (!reading.project.volumes.has(source)) {
    wrong(reading, ['volumes', index], 'compose.unknownVolume', `names the volume ${source}, which the top-level volumes lack`, `add to the top level: volumes: {${source}: {}}`);
    return undefined;
  }
  if (subpath !== undefined && (subpath === '' || subpath.startsWith('/') || subpath.split('/').includes('..') || subpath.includes('\0'))) {
    wrong(reading, ['volumes', index, 'volume', 'subpath'], 'compose.badPath', `must be a path inside the volume, not ${JSON.stringify(subpath)}`);
    return undefined;
  }
  return { kind: 'volume', volume: source, target, readOnly, ...(subpath === undefined ? {} : { subpath }) };
}

function tmpfsMount(reading: ServiceReading, { target, readOnly, tmpfs }: LongMount, index: number): ServiceMount | undefined {
  if (readOnly) {
    wrong(reading, ['volumes', index], 'compose.refused', 'is a read-only tmpfs, which could hold nothing');
    return undefined;
  }
  const sizeBytes = bytesAt(reading, tmpfs?.size, 'volumes', index, 'tmpfs', 'size');
  const mode = modeAt(reading, tmpfs?.mode, 'volumes', index, 'tmpfs', 'mode');
  return { kind: 'tmpfs', target, ...(sizeBytes ? { sizeBytes } : {}), ...(mode === undefined ? {} : { mode }) };
}

/** `tmpfs: /run:size=64m,mode=1777`. */
function readTmpfs(reading: ServiceReading): ServiceMount[] {
  const written = reading.source.tmpfs;
  return asList(written).flatMap((text, index): ServiceMount[] => {
    const path = typeof written === 'string' ? ['tmpfs'] : ['tmpfs', index];
    const at = text.indexOf(':');
    const target = containerPathAt(reading, at < 0 ? text : text.slice(0, at), ...path);
    const options = at < 0 ? [] : text.slice(at + 1).split(',');
    const named = new Map(options.map((option) => [option.split('=')[0] ?? '', option.slice(option.indexOf('=') + 1)]));
    const unknown = [...named.keys()].filter((name) => !['size', 'mode', 'rw', 'nosuid', 'nodev'].includes(name));
    if (unknown.length > 0) wrong(reading, path, 'compose.refused', `has options that are not possible: ${unknown.join(', ')}`, 'only size= and mode= are');
    if (target === undefined || unknown.length > 0) return [];
    const sizeBytes = bytesAt(reading, named.get('size'), ...path);
    const mode = modeAt(reading, named.get('mode'), ...path);
    return [{ kind: 'tmpfs', target, ...(sizeBytes ? { sizeBytes } : {}), ...(mode === undefined ? {} : { mode }) }];
  });
}

/** Relative sources start from the folder of the file they stand in. */
export const sourcePlace = (reading: ServiceReading, index: number): ReturnType<typeof placeAt> => placeAt(reading, 'volumes', index);

/** A file of the project, as it is now. Its change is seen at the next `up`. */
async function bindFile(reading: ServiceReading, { source, target, readOnly }: LongMount, index: number): Promise<FileMount | undefined> {
  const path = ['volumes', index];
  if (source === undefined) {
    wrong(reading, path, 'compose.missingKey', 'lacks source', 'add source:');
    return undefined;
  }
  const full = resolvePath(source, sourcePlace(reading, index), reading.project.home);
  const inside = relative(reading.project.workingDir, full);
  if (inside.startsWith('..') || inside === '') {
    wrong(reading, path, 'compose.bindRefused', `mounts ${full} of the host, outside of the project: a virtual machine does not see the host's files`, advice);
    return undefined;
  }
  const read = await readProjectFile(full, mostFileBytes);
  if (!('bytes' in read)) {
    const folder = read.why === 'it is a folder';
    wrong(reading, path, read.wrong === 'missing' ? 'compose.fileMissing' : 'compose.bindRefused', folder ? `mounts the folder ${full} of the host, which a virtual machine cannot see yet` : `mounts ${full}, which cannot be read: ${read.why}`, folder ? advice : 'check the path');
    return undefined;
  }
  if (!readOnly) {
    wrong(reading, path, 'compose.bindRefused', `mounts the file ${full} to be written: what is written in a virtual machine does not come back to the host`, 'append :ro, and a copy of the file is mounted');
    return undefined;
  }
  return { target, content: read.bytes.toString('base64'), mode: read.executable ? 0o755 : 0o644, uid: 0, gid: 0, secret: false, name: inside };
}
