/** Door of the reconcile layer: the driver of controllers, plans with undo, operations people see, generations. */
export type { Controller, ReconcileResult } from './controller.ts';
export type { Operation, OperationPerformer } from './operation.ts';
export { runControllers, type ControllersRun, type RunControllersOptions } from './run-controllers.ts';
export type { ControllerCounts, KeyStatus } from './key-status.ts';
export type { BackOff } from './key-queue.ts';
export { performPlan, type PerformPlanOptions, type PlanProgress } from './perform-plan.ts';
export { openUserOperations, type OpenUserOperations, type StartOptions, type UserOperations } from './user-operations.ts';
export { operationKey, userOperationSchema, type OperationRun, type UserOperation, type UserStep } from './user-operation.ts';
export { openGenerationGuard, type GenerationGuard } from './generation-guard.ts';
export type { OperationBody } from './run-user-operation.ts';
