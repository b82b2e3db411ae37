export { trace, type TraceOptions } from './trace.ts'
export type { Fault, FaultKind, Hop, HopName, Leg, TracePorts, TraceResult, TraceSide, Untried } from './types.ts'
