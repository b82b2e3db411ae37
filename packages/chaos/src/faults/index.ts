import type { Fault } from '../fault.ts'
import { BACKLOG_FAULTS } from './backlog.ts'
import { BELL_FAULTS } from './bells.ts'
import { BROKER_FAULTS } from './broker.ts'
import { CLINIC_FAULTS } from './clinic.ts'
import { DISK_FAULTS } from './disk.ts'
import { MESSAGE_FAULTS } from './messages.ts'
import { NETWORK_FAULTS } from './network.ts'
import { PORTAL_FAULTS } from './portal.ts'
import { PROCESS_FAULTS } from './processes.ts'
import { ROW_FAULTS } from './rows.ts'

/** Every fault, in the order in which they take their turns. */
export const FAULTS: readonly Fault[] = [
  ...PROCESS_FAULTS,
  ...NETWORK_FAULTS,
  ...PORTAL_FAULTS,
  ...CLINIC_FAULTS,
  ...ROW_FAULTS,
  ...BROKER_FAULTS,
  ...MESSAGE_FAULTS,
  ...BELL_FAULTS,
  ...DISK_FAULTS,
  ...BACKLOG_FAULTS,
]
