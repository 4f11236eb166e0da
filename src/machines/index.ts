/** Door of the machines layer: records, the engine port, and what upper layers may do with a machine. */
export { machineDiskSchema, machineKey, machineSpecSchema, machineStatusKey, machineStatusSchema, engineNames, type EngineName, type MachineDisk, type MachinePhase, type MachineSpec, type MachineStatus } from './machine.ts';
export type { AcceleratorProof, Engine, EngineCapabilities, RunningMachine, VmmExit } from './engine.ts';
export type { AgentConnection, AgentStream, Machines } from './machines.ts';
