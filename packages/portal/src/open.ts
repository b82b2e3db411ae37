import {
  type Comparable,
  Connections,
  type Doorbell,
  type Operable,
  PATIENCE,
  type Patience,
  type Recorded,
  type Ringer,
  type SyncDatabase,
  type Verifiable,
  type Verifications,
  type Traceable,
} from '@clinic-sync/sync'
import { applyChanges } from './apply.ts'
import { traceable } from './canary.ts'
import { check } from './check.ts'
import { MIGRATIONS } from './inspect-queries.ts'
import { operating } from './operating.ts'
import { recorded } from './records.ts'
import { readRows, settleChanges, takeChanges } from './outbox.ts'
import { type Log, openPool } from './pool.ts'
import { rehearse } from './rehearse.ts'
import { comparable, restorable, type Restorable } from './restoring.ts'
import { notify, post } from './ring.ts'
import { verifiable, verifications } from './verifying.ts'
import { openWaiting } from './waiting.ts'

export interface PortalOptions {
  /** `postgres://user:password@host:5432/database`: a direct or session-mode connection. */
  readonly url: string
  readonly log: Log
  /** How `ringDoorbell` rings: NOTIFY (the default), or what the webhooks send. */
  readonly doorbell?: 'listen' | 'webhook'
  /** How long a silent server is borne with. */
  readonly patience?: Patience
}

/** The portal's side of the sync. */
export interface Portal
  extends
    SyncDatabase,
    Doorbell,
    Ringer,
    Operable,
    Comparable,
    Restorable,
    Recorded,
    Traceable,
    Verifiable,
    Verifications {
  readonly side: 'portal'
  /** The names of those that were applied. */
  migrations(): Promise<readonly string[]>
}

/** Opens the portal's database. Connects when first used: call `check()` to know that it can be. */
export async function openPortal(options: PortalOptions): Promise<Portal> {
  const { url, log, doorbell = 'listen', patience = PATIENCE } = options
  const connections = new Connections()
  const database = openPool(url, log, () => connections.made(), patience)
  const waiting = openWaiting(url, database, patience)
  return {
    side: 'portal',
    check: () => check(database),
    applyChanges: (events) => applyChanges(database, log, events),
    takeChanges: (max, after) => takeChanges(database, max, after),
    settleChanges: (settlements) => settleChanges(database, settlements),
    readRows: (table, after, max) => readRows(database, table, after, max),
    ...operating(database),
    ...comparable(database, connections),
    ...restorable(database),
    ...recorded(database),
    ...verifiable(database),
    ...verifications(database),
    ...traceable(database),
    rehearse: (event) => rehearse(database, log, event),
    waitForChanges: (signal) => connections.listening(() => waiting.wait(signal)),
    async migrations() {
      return (await database.query(MIGRATIONS)).map(({ name }) => String(name))
    },
    ringDoorbell: () => (doorbell === 'listen' ? notify(database) : post(database)),
    async close() {
      await Promise.all([waiting.close(), database.close()])
    },
  }
}
