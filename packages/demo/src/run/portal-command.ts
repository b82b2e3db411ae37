import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { counted, type Screen, shown } from '../screen.ts'
import { findRunning } from './running.ts'

/** How long to wait for the clinic's answer, and how often the demo, and nothing of the product, asks. Milliseconds. */
const PATIENCE = 10_000
const ASK_MS = 5

interface OutboxRow {
  readonly record: string
  readonly operation: string
  readonly status: string
  readonly last_error: string | null
}

/** `npm run demo -- portal "UPDATE …"`: edits the running demo's portal as a doctor would, and shows what became of it. */
export async function portalCommand(screen: Screen, statement: string): Promise<number> {
  const running = await findRunning()
  if (running === undefined) {
    screen.line('No demo is running: start it with `npm run demo` in another terminal.')
    return 1
  }
  const client = new pg.Client({ connectionString: running.portal, application_name: 'clinic-sync demo (a doctor)' })
  await client.connect()
  try {
    const newest = await client.query<{ id: string }>('SELECT coalesce(max(queue_id), 0) AS id FROM sync.queue')
    const result = await client.query(statement).catch((error: unknown) => {
      screen.line(`  ${screen.bad(error instanceof Error ? error.message : 'failed')}`)
    })
    if (result === undefined) return 1
    const committed = performance.now()
    // Several statements give a result each, against what pg's types say.
    for (const each of [result].flat()) showResult(screen, each)
    if (/^\s*select\b/i.test(statement)) return 0
    const rows = await settledRows(client, newest.rows[0]?.id ?? '0', committed + PATIENCE)
    for (const { record, operation, status, last_error } of rows) {
      const took = status === 'Synced' ? `  ${screen.good(`${(performance.now() - committed).toFixed(0)} ms`)}` : ''
      screen.line(
        `  ${screen.faint('clinic')} ${record} ${operation}  ${status}${last_error ? `: ${last_error}` : ''}${took}`,
      )
    }
    if (rows.length === 0)
      screen.line(screen.faint('  Nothing for the clinic: no synced column of a note or a batch changed.'))
    return rows.every(({ status }) => status === 'Synced') ? 0 : 1
  } finally {
    await client.end()
  }
}

function showResult(screen: Screen, { rows, rowCount }: pg.QueryResult<Record<string, unknown>>): void {
  for (const row of rows.slice(0, 20))
    screen.line(
      `  ${Object.entries(row)
        .map(([name, value]) => `${name} ${shown(value)}`)
        .join('  ')}`,
    )
  screen.line(screen.faint(`  ${counted(rowCount ?? 0)}${rows.length > 0 ? '' : ' affected'}`))
}

/** The outbox rows made after `newest`, once the clinic has answered all of them or the time is up. */
async function settledRows(client: pg.Client, newest: string, deadline: number): Promise<OutboxRow[]> {
  while (true) {
    const { rows } = await client.query<OutboxRow>(
      `SELECT table_name || '/' || record_id AS record, operation, status, last_error FROM sync.queue
       WHERE queue_id > $1 ORDER BY queue_id LIMIT 20`,
      [newest],
    )
    const open = rows.some(({ status }) => status === 'Pending' || status === 'Queued')
    if (!open || performance.now() > deadline) return rows
    await delay(ASK_MS)
  }
}
