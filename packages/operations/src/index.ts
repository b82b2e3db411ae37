export { bounded, type Bounded, PATIENCE_MS } from './bounded.ts'
/** What an operator asks of a running sync: see the README. */
export * from './after-restore/index.ts'
export * from './bundle/index.ts'
export * from './alerts/index.ts'
export * from './dead-letters/index.ts'
export * from './rows.ts'
export * from './status/index.ts'
export * from './verify/index.ts'
