/** Door of the launcher: builds it, tells it what to start, reads what its keepers leave. For engines only. */
export { ensureLauncher, launcherPackages } from './ensure-launcher.ts';
export { encodeLaunchDescription, firstDescriptor, type LaunchDescription, type MountedDisk, type VmmDescriptor } from './launch-description.ts';
export { parseKeeperRecord, readConsoleRing, readExitRecord, readKeeperRecord, type ExitRecord, type KeeperRecord } from './keeper-records.ts';
export { copyMemory, fillVmm, startVmm, isHeld, measureTsc, passDisk, passDisks, plugDisk, settleZygote, tellUml, unplugDisk, type GuestMemory, type MemoryCopy, type PassedDisk } from './run-launcher.ts';
export { holderOf, holdTemplate, readHolder, saveStateToFile, sealTemplate, type TemplateSizes } from './template-holder.ts';
