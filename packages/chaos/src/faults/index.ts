import type { Fault } from '../fault.ts'
import { NETWORK_FAULTS } from './network.ts'
import { PROCESS_FAULTS } from './processes.ts'

/** Every fault, in the order in which they take their turns. */
export const FAULTS: readonly Fault[] = [...PROCESS_FAULTS, ...NETWORK_FAULTS]
