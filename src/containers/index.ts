/** Door of the containers layer. */
export type { DebianRecipe, Image, ImageConfig, ImageProgress, Images, ImageUsers } from './images/image.ts';
export { containerKey, containerSpecSchema, containerStatusKey, containerStatusSchema, isReady, type ContainerPhase, type ContainerSpec, type ContainerStatus } from './container.ts';
export { buildGuestSpec, canonicalJson, type ContainerWish } from './build-guest-spec.ts';
export { imageSerial, volumeKey, volumePath, volumeSchema, type Volume } from './volume.ts';
export { deleteVolume } from './ensure-volume-disk.ts';
export { openContainers, type Containers, type ContainersDeps } from './open-containers.ts';
export { openImages, type ImagesDeps, type OpenedImages } from './images/open-images.ts';
