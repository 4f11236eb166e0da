/** Side door of the QEMU driver; only bin and tests use it. */
export { openQemuEngine, type QemuEngine, type QemuEngineDeps } from './open-qemu-engine.ts';
export { launcherPackages } from '../launcher/index.ts';
