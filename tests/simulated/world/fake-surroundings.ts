/** What else of a host outlives a daemon: gateway, edge, images. In memory, each with what was told it last. */
import { createHash } from 'node:crypto';
import { StrataError, type Architecture } from '#base';
import type { Image, ImageConfig, Images } from '#containers';
import type { Edge, Gateway, GatewayState } from '#services';

export interface FakeGateway extends Gateway { readonly state: GatewayState | undefined }

export function fakeGateway(): FakeGateway {
  let state: GatewayState | undefined;
  return {
    get state() { return state; },
    async apply(wish) { state = structuredClone(wish); return { reloaded: true }; },
    async stats() { return []; },
    async stop() { state = undefined; },
  };
}

type EdgeState = Parameters<Edge['apply']>[0];
export interface FakeEdge extends Edge { readonly state: EdgeState | undefined }

export function fakeEdge(): FakeEdge {
  let state: EdgeState | undefined;
  return {
    get state() { return state; },
    async ensure() { /* it always answers */ },
    async apply(wish) { state = structuredClone(wish); },
    stats: () => Promise.reject(new StrataError('a fake edge counts nothing', { code: 'edge.notRunning', kind: 'unavailable' })),
    async stop() { state = undefined; },
  };
}

const config: ImageConfig = { entrypoint: [], command: ['serve'], env: [], workingDir: '', user: '', exposedPorts: [], volumes: [], labels: {}, stopSignal: '', healthcheck: null };

/** A registry that has every image but those named `missing…`. What was pulled stays. */
export function fakeImages(): Images {
  const kept = new Map<string, Image>();
  const id = (reference: string, architecture: Architecture) => `${reference} ${architecture}`;
  const refuse = () => Promise.reject(new StrataError('the fake images are pulled only', { code: 'image.unsupported', kind: 'refused' }));
  return {
    importArchive: refuse, buildDebian: refuse,
    async pull(reference, { architecture }) {
      if (reference.startsWith('missing')) throw new StrataError(`no image ${reference}`, { code: 'image.notFound', kind: 'notFound' });
      const digest = `sha256:${createHash('sha256').update(id(reference, architecture)).digest('hex')}`;
      const image: Image = { digest, architecture, config, size: 1, createdAt: 0, origin: 'registry', note: '' };
      kept.set(id(reference, architecture), image);
      kept.set(id(digest, architecture), image);
      return image;
    },
    find: async (name, architecture) => kept.get(id(name, architecture)),
    list: async () => [...new Set(kept.values())].map((image) => ({ ...image, references: [] })),
    async remove(name) { for (const key of kept.keys()) if (key.startsWith(name)) kept.delete(key); },
    squashfsPath: (image) => `/simulated/${image.digest}`,
  };
}
