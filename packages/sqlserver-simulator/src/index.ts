export { type SimulatedError, type Simulator, type SimulatorOptions, startSimulator } from './simulator.ts'
export { SERVICE_LOGIN, SERVICE_PASSWORD } from './engine/permissions.ts'
export type { Written } from './engine/watch.ts'
