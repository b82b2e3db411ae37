import type { Session } from '../engine/session.ts'

const PRIORITIES: Readonly<Record<string, number>> = { LOW: -5, NORMAL: 0, HIGH: 5 }

/** A SET option that the parser has let pass. Those whose only supported value is in force change nothing. */
export function setOption(session: Session, option: string, value: string): void {
  switch (option) {
    case 'NOCOUNT':
      session.noCount = value === 'ON'
      return
    case 'XACT_ABORT':
      session.xactAbort = value === 'ON'
      return
    case 'LOCK_TIMEOUT':
      session.lockTimeout = Number(value)
      return
    case 'DEADLOCK_PRIORITY':
      session.priority = PRIORITIES[value] ?? Number(value)
      if (session.transaction) session.transaction.priority = session.priority
      return
    case 'ISOLATION':
      session.isolation = value
      return
    default:
  }
}
