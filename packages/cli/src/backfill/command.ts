import { watchOutcomes } from '@clinic-sync/broker'
import { openClinic, type OpenRow } from '@clinic-sync/clinic'
import type { TableName } from '@clinic-sync/mapping'
import { createLogger, type Environment, readSettings } from '@clinic-sync/runtime'
import { backfill, type BackfillResult, type Unsettled } from './backfill.ts'
import { progressOn } from './progress.ts'
import { ringIngress } from './ring.ts'

export interface BackfillCommand {
  readonly tables?: readonly TableName[]
  readonly restart: boolean
  readonly environment: Environment
  readonly out: NodeJS.WriteStream
  readonly signal: AbortSignal
}

/** Runs a backfill with everything that it needs, as the command does. Opens and closes its own connections. */
export async function backfillCommand(options: BackfillCommand): Promise<BackfillResult> {
  const settings = readSettings(
    ['SQLSERVER_URL', 'RABBITMQ_URL', 'CLINIC_TIME_ZONE', 'SYNC_OPERATOR_TOKEN', 'INGRESS_URL'],
    options.environment,
  )
  const log = createLogger({ name: 'backfill', level: 'silent' })
  const clinic = await openClinic({ url: settings.SQLSERVER_URL, timeZone: settings.CLINIC_TIME_ZONE, log })
  const progress = progressOn(options.out)
  try {
    await clinic.check()
    return await backfill(
      {
        backfillPage: (table, max, restart) => clinic.backfillPage(table, max, restart),
        unsettled: async () => unsettled(await clinic.openRows()),
        ring: () => ringIngress(settings.INGRESS_URL, settings.SYNC_OPERATOR_TOKEN, options.signal),
        async watchOutcomes(onOutcomes) {
          const watch = await watchOutcomes({
            url: settings.RABBITMQ_URL,
            log,
            name: 'backfill',
            direction: 'sql-to-postgres',
            onOutcomes,
          })
          return { stop: () => watch.close() }
        },
      },
      {
        ...(options.tables ? { tables: options.tables } : {}),
        restart: options.restart,
        progress,
        signal: options.signal,
      },
    )
  } finally {
    progress.stop()
    await clinic.close()
  }
}

function unsettled(rows: readonly OpenRow[]): Unsettled {
  const ids = (retrying: boolean) => new Set(rows.filter((row) => row.retrying === retrying).map((row) => row.queueId))
  return { open: ids(false), retrying: ids(true) }
}

/** What came of it, in a few lines. */
export function summaryLines(result: BackfillResult): string[] {
  const outcomes = [...result.outcomes].map(([outcome, records]) => `${records} ${outcome}`).join(', ')
  const lines = [`${result.queued} rows queued; outcomes by record: ${outcomes || 'none'}.`]
  if (result.dead > 0)
    lines.push(
      `${result.dead} records are dead: see LastError in dbo.SyncQueue, or the queue sync.dead.sql-to-postgres.`,
    )
  if (result.unsettled > 0)
    lines.push(
      `${result.unsettled} outbox rows have no final outcome yet: they are retried, or wait for a service to come back.`,
    )
  if (result.queued === 0) lines.push('Everything was queued before; --restart queues it all again.')
  return lines
}
