import type { GeneratedFile } from '../generated.ts'
import { syncedTables } from '../tables/index.ts'
import { applyingScript } from './applying.ts'
import { readCanary, sendCanary } from './canary.ts'
import { captureScript } from './capture.ts'
import { inspect } from './inspecting.ts'
import { outboxStatus, recordVersions, requeue } from './operating.ts'
import { backfillPage, openRows, readRecords, readRows } from './reading.ts'
import { recordHistory, ruledValues, rulings } from './records.ts'
import { roleScript } from './role.ts'
import { bookkeeping, holdPortalChanges, queueRecords, resumeAfterRestore } from './restoring.ts'
import { settleChanges } from './settling.ts'
import { enterOutbox, takeChanges } from './taking.ts'
import { script } from './text.ts'
import { recordStates } from './verifying.ts'

/** The clinic's generated migrations. */
export function clinicFiles(): GeneratedFile[] {
  return [
    { path: 'migrations/sqlserver/02_sync_capture.sql', content: captureScript() },
    { path: 'migrations/sqlserver/03_sync_procedures.sql', content: proceduresScript() },
    { path: 'migrations/sqlserver/05_sync_apply.sql', content: applyingScript(syncedTables) },
    { path: 'migrations/sqlserver/09_service_role.sql', content: roleScript() },
  ]
}

function proceduresScript(): string {
  const about = `-- The procedures of schema sync: all that the services may do in this database. Safe to run again.
-- A service's login needs EXECUTE on them and nothing else.`
  return script(about, [
    enterOutbox(),
    readRecords(),
    takeChanges(),
    settleChanges(),
    readRows(),
    backfillPage(),
    openRows(),
    inspect(),
    outboxStatus(),
    requeue(),
    recordVersions(),
    recordHistory(),
    rulings(),
    ruledValues(),
    bookkeeping(),
    holdPortalChanges(),
    resumeAfterRestore(),
    queueRecords(),
    recordStates(),
    sendCanary(),
    readCanary(),
  ])
}
