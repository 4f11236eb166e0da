/** Door of the base layer: words every layer uses and nothing of ours below it. */
export { StrataError, asStrataError, formatPlace, type ErrorKind, type Place, type StrataErrorFields } from './errors.ts';
export { newId, isId, type Id, type IdKind, type HostId, type MachineId, type ContainerId, type AppId, type ServiceId, type VolumeId, type OperationId } from './ids.ts';
export { systemDice, seededDice, type Dice } from './dice.ts';
export { systemClock, type Clock } from './clock.ts';
export { waitUntil, type WaitOptions } from './wait-until.ts';
export { instanceFromEnvironment, apiSocketPath, bridgeName, gatewayAddress, type Instance } from './instance.ts';
export { runProcess, childEnvironment, type RunOptions, type RunResult } from './run-process.ts';
export { identifyProcess, isAlive, signalProcess, hostBootId, type ProcessIdentity } from './process-identity.ts';
export { watchProcess } from './watch-process.ts';
export { atomicWrite, removeUnfinishedWrites } from './atomic-write.ts';
export { failpoint, armFailpoints, watchFailpoints } from './failpoint.ts';
export { openLog, silentLog, type Log } from './log.ts';
export { architectures, ociArchitecture, debianArchitecture, hostArchitecture, architectureOfPlatform, type Architecture } from './architecture.ts';
export { forkQuickly } from './quick-fork/fork-quickly.ts';
