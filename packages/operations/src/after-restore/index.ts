export { type Planned, planRepair, stillDiffering, type TableCounts } from './plan.ts'
export { KEPT_WHY, repair, type Repaired, type RepairPorts } from './repair.ts'
