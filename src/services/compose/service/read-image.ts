/** What a service runs: an image by its reference, or one made from a Debian recipe. */
import { stat } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { architectures, architectureOfPlatform, hostArchitecture, ociArchitecture, type Architecture } from '#base';
import type { DebianRecipe } from '#containers';
import type { ServiceSpec } from '../../app.ts';
import { resolvePath } from '../load-documents.ts';
import { child } from '../yaml/tree.ts';
import type { DebianSource } from '../schema/build-schema.ts';
import { keyAt, modeAt, numberAt, placeAt, wrong, type ServiceReading } from './service-reading.ts';

type ImageSpec = ServiceSpec['image'];

export async function readImage(reading: ServiceReading): Promise<ImageSpec | undefined> {
  const { source, name, project } = reading;
  const policy = readPullPolicy(reading);
  const { build, image } = source;
  const recipe = typeof build === 'object' ? build['x-strata']?.debian : undefined;
  if (image !== undefined && !/^[a-zA-Z0-9][\w.:/@+-]{0,511}$/.test(image)) {
    wrong(reading, ['image'], 'compose.badImage', `is no image reference: ${JSON.stringify(image)}`);
    return undefined;
  }
  if (recipe !== undefined) {
    const contextDir = await readContext(reading, typeof build === 'object' ? build.context ?? '.' : '.');
    const read = await readRecipe(reading, recipe, contextDir);
    return contextDir === undefined || read === undefined ? undefined : { kind: 'debian', recipe: read, contextDir, reference: image ?? `${project.name}-${name}` };
  }
  if (build !== undefined && (image === undefined || source.pull_policy === 'build')) {
    project.report.error(keyAt(reading, 'build'), 'compose.buildNotYet', `services.${name}.build: building from a Dockerfile is not possible yet`, 'name a finished `image:`, or describe it under build.x-strata.debian');
    return undefined;
  }
  if (build !== undefined) project.report.warn(keyAt(reading, 'build'), 'compose.buildNotYet', `services.${name}.build is not used: the image ${image} is taken as it is`, 'import it with `strata image import`, or let it be pulled');
  if (image !== undefined) return policy === undefined ? undefined : { kind: 'reference', reference: image, pullPolicy: policy };
  // One that is wrong has been reported.
  if (child(reading.tree, 'image') !== undefined || child(reading.tree, 'build') !== undefined) return undefined;
  project.report.error(keyAt(reading), 'compose.missingKey', `service ${name} has neither an image nor a build`, 'add `image:`');
  return undefined;
}

function readPullPolicy(reading: ServiceReading): 'always' | 'missing' | 'never' | undefined {
  switch (reading.source.pull_policy) {
    case undefined: case 'missing': case 'if_not_present': case 'build': return 'missing';
    case 'always': case 'never': return reading.source.pull_policy;
    default:
      wrong(reading, ['pull_policy'], 'compose.refused', `cannot be ${JSON.stringify(reading.source.pull_policy)} yet`, 'use always, missing, never or build');
      return undefined;
  }
}

async function readContext(reading: ServiceReading, context: string): Promise<string | undefined> {
  const path = resolvePath(context, placeAt(reading, 'build', 'context'), reading.project.home);
  if (await stat(path).then((found) => found.isDirectory(), () => false)) return path;
  wrong(reading, ['build', 'context'], 'compose.fileMissing', `is no folder: ${path}`, 'check the path');
  return undefined;
}

const recipePath = ['build', 'x-strata', 'debian'] as const;

async function readRecipe(reading: ServiceReading, recipe: DebianSource, contextDir: string | undefined): Promise<DebianRecipe | undefined> {
  const packages = recipe.packages ?? [];
  for (const [index, one] of packages.entries()) if (!/^[a-z0-9][a-z0-9+.-]{1,127}$/.test(one)) wrong(reading, [...recipePath, 'packages', index], 'compose.badName', `is no name of a Debian package: ${JSON.stringify(one)}`);
  const copy: { from: string; to: string; mode?: number }[] = [];
  for (const [index, item] of (recipe.copy ?? []).entries()) {
    const path = [...recipePath, 'copy', index];
    const from = await readCopySource(reading, item.from, contextDir, path);
    const mode = modeAt(reading, item.mode, ...path, 'mode');
    if (!item.to.startsWith('/') || item.to.split('/').includes('..')) wrong(reading, [...path, 'to'], 'compose.badPath', `must be an absolute path inside the image, not ${JSON.stringify(item.to)}`);
    else if (from !== undefined) copy.push({ from, to: item.to, ...(mode === undefined ? {} : { mode }) });
  }
  const exposed = (recipe.exposed_ports ?? []).map((port, index) => readExposed(reading, port, index));
  return {
    suite: recipe.suite, packages, copy,
    ...(recipe.entrypoint === undefined ? {} : { entrypoint: recipe.entrypoint }), ...(recipe.command === undefined ? {} : { command: recipe.command }),
    ...(recipe.env === undefined ? {} : { env: Object.fromEntries(Object.entries(recipe.env).map(([key, value]) => [key, value === null ? '' : String(value)])) }),
    ...(recipe.working_dir === undefined ? {} : { workingDir: recipe.working_dir }), ...(recipe.user === undefined ? {} : { user: recipe.user }),
    ...(recipe.exposed_ports === undefined ? {} : { exposedPorts: exposed }), ...(recipe.stop_signal === undefined ? {} : { stopSignal: recipe.stop_signal }),
  };
}

/** Only what lies in the context may go into an image. */
async function readCopySource(reading: ServiceReading, from: string, contextDir: string | undefined, path: readonly (string | number)[]): Promise<string | undefined> {
  const inside = normalize(from);
  if (from === '' || inside.startsWith('/') || inside.split('/').includes('..')) {
    wrong(reading, [...path, 'from'], 'compose.badPath', `must lie in the build context, not ${JSON.stringify(from)}`);
    return undefined;
  }
  if (contextDir === undefined || (await stat(join(contextDir, inside)).then(() => true, () => false))) return from;
  wrong(reading, [...path, 'from'], 'compose.fileMissing', `is not in the build context: ${join(contextDir, inside)}`, 'check the path');
  return undefined;
}

function readExposed(reading: ServiceReading, value: string | number, index: number): string {
  const [port, protocol = 'tcp', ...rest] = String(value).split('/');
  if (rest.length > 0 || !['tcp', 'udp'].includes(protocol)) wrong(reading, [...recipePath, 'exposed_ports', index], 'compose.badPort', `is no port: ${JSON.stringify(value)}`, 'write 80/tcp');
  else numberAt(reading, port, { whole: true, least: 1, most: 65_535 }, ...recipePath, 'exposed_ports', index);
  return `${port}/${protocol}`;
}

export function readArchitecture(reading: ServiceReading): Architecture | undefined {
  const { platform } = reading.source;
  if (platform === undefined) return hostArchitecture;
  const found = architectureOfPlatform(platform.toLowerCase());
  if (found === undefined) wrong(reading, ['platform'], 'compose.unsupportedPlatform', `is not supported: ${JSON.stringify(platform)}`, `supported: ${architectures.map((one) => `linux/${ociArchitecture[one]}`).join(', ')}`);
  return found;
}
