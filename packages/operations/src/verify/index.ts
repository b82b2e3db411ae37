export type { Compared, Found } from './look.ts'
export { differingColumns, same, sameValue } from './same.ts'
export { verified } from './verified.ts'
export { PATIENCE_MS, verify, type VerifyOptions, type VerifyPorts, type VerifyProgress } from './verify.ts'
