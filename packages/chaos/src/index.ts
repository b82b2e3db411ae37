export { type Chaos, chaos, type ChaosOptions } from './chaos.ts'
export { holds, report } from './end/report.ts'
export type { Fault } from './fault.ts'
export { FAULTS } from './faults/index.ts'
