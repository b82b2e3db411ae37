import { CANARY_KEY, type Table as Mapped, syncedTables } from '@clinic-sync/mapping'
import { Database } from '../engine/database.ts'
import { Table } from '../engine/table.ts'
import { applyPortalChanges } from '../sync/apply.ts'
import { readCanary, sendCanary } from '../sync/canary.ts'
import { captureTriggers } from '../sync/capture.ts'
import { doorbellTriggers } from '../sync/doorbells.ts'
import { inspect } from '../sync/inspect.ts'
import { recordHistory, ruledValues, rulings } from '../sync/history.ts'
import { awaitTransaction, openRows, openTransactions } from '../sync/open-transactions.ts'
import { NO_ENDPOINT, notifier, notifyApp, setSessionContext } from '../sync/notify-app.ts'
import { outboxStatus, recordVersions, requeue } from '../sync/operating.ts'
import { recordStates } from '../sync/verifying.ts'
import { Outbox } from '../sync/outbox.ts'
import { backfillPage, readRows } from '../sync/pages.ts'
import { openRecords } from '../sync/records.ts'
import { bookkeeping, holdPortalChanges, queueRecords, resumeAfterRestore } from '../sync/restoring.ts'
import { settleChanges } from '../sync/settle.ts'
import { takeChanges } from '../sync/take.ts'
import { ringDoorbell, ringServiceBroker, useDoorbell, waitForChanges } from '../sync/use-doorbell.ts'
import { Transaction } from '../engine/transaction.ts'
import { activityTrigger } from './activity-trigger.ts'
import { clinicTables } from './clinic.ts'
import { paymentsView } from './payments-view.ts'
import { syncTables } from './sync.ts'

/** A clinic's database without rows: its tables, and what the migrations add, installed. */
export function openDatabase(name: string, mapped: readonly Mapped[] = syncedTables): Database {
  const db = new Database(name)
  for (const definition of clinicTables) db.addTable(new Table(definition))
  db.addView('dbo', paymentsView(db.table('dbo', 'tblAlignerSets'), db.table('dbo', 'tblInvoice')))
  db.addTrigger(activityTrigger(db.table('dbo', 'tblAlignerBatches'), db.table('dbo', 'tblAlignerActivityFlags')))

  let conflicts = 0n
  for (const definition of syncTables(
    () => ++db.queueId,
    () => ++conflicts,
  ))
    db.addTable(new Table(definition))
  const outbox = new Outbox(db.table('dbo', 'SyncQueue'))
  const records = openRecords(db, mapped)
  const triggers = captureTriggers(db)
  for (const trigger of [...triggers, ...doorbellTriggers(outbox.table)]) db.addTrigger(trigger)
  const procedures = [
    takeChanges(outbox, records),
    settleChanges(outbox, records),
    applyPortalChanges(outbox, records),
    readRows(records),
    backfillPage(records),
    openTransactions(outbox),
    awaitTransaction(outbox),
    openRows(outbox),
    useDoorbell(outbox),
    ringDoorbell,
    ringServiceBroker,
    waitForChanges,
    inspect(
      outbox,
      triggers.filter(({ table }) => table.definition.schema === 'dbo'),
    ),
    outboxStatus(outbox),
    requeue(outbox, records),
    recordVersions(outbox, records),
    recordHistory(outbox, records),
    rulings,
    ruledValues,
    recordStates(outbox, records),
    bookkeeping(outbox, records),
    holdPortalChanges,
    resumeAfterRestore(outbox),
    queueRecords(outbox, records),
    sendCanary(outbox),
    readCanary(outbox),
  ]
  for (const procedure of procedures) db.addProcedure('sync', procedure)
  db.addProcedure('sys', setSessionContext)
  db.addProcedure('dbo', notifier('sp_NotifyAppOfSync', notifyApp))
  db.addProcedure(
    'sync',
    notifier('NotifyAppByRest', async () => NO_ENDPOINT),
  )

  const tx = new Transaction(0)
  db.table('sync', 'Settings').insert(tx, ['RetentionDays', '7'])
  db.table('sync', 'Canary').insert(tx, [CANARY_KEY, null, null])
  tx.commit()
  return db
}
