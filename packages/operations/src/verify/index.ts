export { dependentTables } from './dependents.ts'
export type { Compared, Found } from './look.ts'
export { differingColumns, same, sameValue } from './same.ts'
export { verified } from './verified.ts'
export { PATIENCE_MS, verify, type VerifyOptions, type VerifyPorts, type VerifyProgress } from './verify.ts'
export { RepairPlan, type TablePlan } from './plan.ts'
export {
  type RemainingRecord,
  REPAIR_WHY,
  repairDifferences,
  type VerifyRepaired,
  type VerifyRepairPorts,
  type VerifyRepairProgress,
} from './repair.ts'
