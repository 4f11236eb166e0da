/** Door of the machines layer: records, the engine port, and what upper layers may do with a machine. */
export { machineDiskSchema, machineKey, machineSpecSchema, machineStatusKey, machineStatusSchema, engineNames, type EngineName, type MachineDisk, type MachinePhase, type MachineSpec, type MachineStatus } from './machine.ts';
export type { AcceleratorProof, Engine, EngineCapabilities, RunningMachine, VmmExit } from './engine.ts';
export type { AgentConnection, AgentStream, Machines } from './machines.ts';
export { builtGuestOs, ensureGuestOs, type GuestOs } from './guest-os/ensure-guest-os.ts';
export { pruneGuestOs } from './guest-os/prune-guest-os.ts';
export { makeExt4Disk } from './make-ext4-disk.ts';
export { checkSource, ownDisk } from './machine-disks.ts';
export type { Backend as BackendRecord, BackendStatus } from './backends/backend.ts';
export { backendAbilities } from './backends/backend-abilities.ts';
export { storageDaemon } from './backends/backend-command.ts';
export { openMachines, type MachinesDeps, type OpenedMachines } from './open-machines.ts';
export { machinePolicy, type MachinePolicy } from './machine-policy.ts';
export type { EngineFigures } from './figures/engine-figures.ts';
export { measureFigures } from './figures/measure-figures.ts';
export type { EngineFacts } from './open-machines.ts';
export type { EngineProof } from './keep-proofs.ts';
export { chooseEngine, engineRefusal, type EngineCandidate, type EngineChoice } from './choose-engine.ts';
