/** Images: brought by operations, removed where nothing uses them. */
import { architectureOfPlatform, architectures, hostArchitecture, StrataError, type Architecture } from '#base';
import type { Image as ImageView } from '#contract';
import type { Image, ImageUsers } from '#containers';
import type { OperationRun } from '#reconcile';
import type { Backend } from '../backend.ts';
import type { Layers } from './layers.ts';
import { showOperation } from './show-operation.ts';
import { timeOf } from './show-machine.ts';

export function imagesBackend(layers: Layers): Backend['images'] {
  const { images, operations } = layers;
  const show = (image: Image & { readonly references: readonly string[] }): ImageView => ({
    digest: image.digest, references: [...image.references], architecture: image.architecture, size: image.size, origin: image.origin, note: image.note, createdAt: timeOf(image.createdAt),
  });

  /** One step for the whole work, with progress in words and, where a total is known, as a fraction. */
  const inStep = <T>(run: OperationRun, name: string, work: (progress: (step: { readonly what: string; readonly done?: number; readonly total?: number }) => void) => Promise<T>): Promise<T> => run.step(name, (say) => work((step) => {
    say(step.total === undefined ? step.what : `${step.what} ${step.done ?? 0}/${step.total}`);
    if (step.total !== undefined && step.total > 0) run.progress(Math.min(0.99, (step.done ?? 0) / step.total));
  }));

  const usersOf: ImageUsers = async (digest, architecture) => {
    const containers = (await layers.containers.specs.list()).map((one) => one.value).filter((one) => one.image.digest === digest && one.image.architecture === architecture);
    const apps = (await layers.services.apps.list()).map((one) => one.value)
      .filter((app) => app.spec.services.some((service) => service.architecture === architecture && app.images[service.name]?.digest === digest));
    return { containers: containers.map((one) => one.name).sort(), apps: [...new Set([...containers.map((one) => one.appName), ...apps.map((one) => one.name)])].sort() };
  };

  return {
    list: async () => (await images.list()).map(show),
    async import(request) {
      return showOperation(await operations.start('image.import', request.reference ?? request.path, async (run) => {
        const made = await inStep(run, `import ${request.path}`, (progress) => images.importArchive(request.path, { ...(request.reference === undefined ? {} : { reference: request.reference }), signal: run.signal, progress }));
        return { digests: made.map((one) => one.digest) };
      }));
    },
    async pull(request) {
      const architecture = platformOf(request.platform);
      return showOperation(await operations.start('image.pull', request.reference, async (run) => {
        const image = await inStep(run, `pull ${request.reference}`, (progress) => images.pull(request.reference, { architecture, signal: run.signal, progress }));
        return { digests: [image.digest] };
      }));
    },
    async remove(reference) {
      const there = await images.list();
      const found = await Promise.all(architectures.map((architecture) => images.find(reference, architecture)));
      const digests = new Set(found.flatMap((one) => (one === undefined ? [] : [one.digest])));
      if (digests.size === 0) throw new StrataError(`there is no image ${reference}`, { code: 'image.notFound', kind: 'notFound', advice: 'see `strata image ls`' });
      await images.remove(reference, { usersOf });
      return there.filter((one) => digests.has(one.digest)).map(show);
    },
  };
}

function platformOf(platform: string | undefined): Architecture {
  if (platform === undefined) return hostArchitecture;
  const architecture = architectureOfPlatform(platform);
  if (architecture === undefined) throw new StrataError(`platform ${platform} is not supported`, { code: 'image.unsupportedPlatform', kind: 'invalid', advice: 'supported: linux/amd64, linux/arm64' });
  return architecture;
}
