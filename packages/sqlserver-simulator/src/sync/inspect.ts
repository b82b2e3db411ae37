import { createHash } from 'node:crypto'
import { SERVICE_PROCEDURES } from '@clinic-sync/mapping'
import type { Database, Procedure, Trigger } from '../engine/database.ts'
import { may, OPERATOR } from '../engine/permissions.ts'
import { tableRelation } from '../engine/relation.ts'
import { resultColumn, type Work } from '../engine/work.ts'
import { nowDatetime2, UTC_OFFSET_MINUTES } from '../engine/clock.ts'
import { COLLATION, serverProperty } from '../run/properties.ts'
import { compareText } from '../values/compare.ts'
import { nvarchar } from '../values/types.ts'
import { DOORBELLS, doorbellOf } from './doorbells.ts'
import { originalFacts } from './original.ts'
import type { Outbox } from './outbox.ts'
import { readSetting } from './settings.ts'

const COLUMNS = [resultColumn('Name', nvarchar(200)), resultColumn('Value', nvarchar(400))]
/** Null: it cannot be seen. */
type Facts = Record<string, string | null>

/** `sync.Inspect`: what the doctor command looks at, by the names of packages/mapping/src/tsql/inspecting*.ts. */
export function inspect(outbox: Outbox, capture: readonly Trigger[]): Procedure {
  return {
    name: 'Inspect',
    parameters: [],
    run(work) {
      const facts = {
        ...serverFacts(work),
        ...doorbellFacts(work),
        ...outboxFacts(work, outbox),
        ...originalFacts(work, outbox),
        ...triggerFacts(work, capture),
        ...rightFacts(work, capture),
        ...migrationFacts(work),
      }
      const rows = Object.entries(facts).sort(([a], [b]) => compareText(a, b))
      return [{ columns: COLUMNS, rows, count: rows.length }]
    },
  }
}

const flag = (value: boolean) => (value ? '1' : '0')

function serverFacts({ db, session }: Work): Facts {
  const now = new Date()
  return {
    EngineVersion: serverProperty('ProductVersion'),
    Edition: serverProperty('Edition'),
    EngineEdition: serverProperty('EngineEdition'),
    Platform: 'Windows',
    DatabaseName: db.name,
    Owner: 'valid',
    CompatibilityLevel: '160',
    Collation: COLLATION,
    ServerCollation: COLLATION,
    IsBrokerEnabled: flag(db.broker.isEnabled),
    IsReadCommittedSnapshot: '0',
    NestedTriggers: '1',
    // What 04 switches on.
    OleAutomation: flag(db.procedure('dbo', 'sp_NotifyAppOfSync') !== undefined),
    // An option that SQL Server 2022 does not know.
    RestEndpoint: null,
    UtcNow: now.toISOString().slice(0, 23),
    UtcOffsetMinutes: String(UTC_OFFSET_MINUTES),
    Login: session.login,
  }
}

function doorbellFacts(work: Work): Facts {
  return {
    Doorbell: doorbellOf(work),
    DoorbellURL: readSetting(work, 'DoorbellURL')?.slice(0, 400) ?? '',
    DoorbellSecret: readSetting(work, 'DoorbellSecret') ? 'set' : 'missing',
    BrokerQueue: work.db.procedure('sync', 'WaitForChanges') === undefined ? 'missing' : 'enabled',
    BrokerBacklog: '0',
  }
}

function outboxFacts({ db, tx }: Work, { table, at }: Outbox): Facts {
  const counts: Record<string, number> = { Pending: 0, Queued: 0, Synced: 0, Failed: 0 }
  const now = nowDatetime2(3)
  let oldest = now
  for (const { values } of tableRelation(table).scan({ tx, mode: 'S', onLocked: 'skip' })) {
    const status = String(values[at.Status])
    counts[status] = (counts[status] ?? 0) + 1
    const created = values[at.CreatedAt] as bigint
    if (status === 'Pending' && created < oldest) oldest = created
  }
  const states = db.table('sync', 'RowState')
  const seen = [...tableRelation(states).scan({ tx, mode: 'S', onLocked: 'wait' })].map(
    ({ values }) => values[states.ordinal('SeenPortalVersion')] as bigint,
  )
  return {
    ...Object.fromEntries(
      ['Pending', 'Queued', 'Synced', 'Failed'].map((status) => [`outbox:${status}`, String(counts[status])]),
    ),
    OldestPendingSeconds: String((now - oldest) / 10_000_000n),
    // A sequence that has given no number yet shows the first.
    LastQueueID: String(db.queueId > 0n ? db.queueId : 1n),
    HighestSeenPortalVersion: String(seen.reduce((highest, version) => (version > highest ? version : highest), 0n)),
  }
}

function triggerFacts({ db }: Work, capture: readonly Trigger[]): Facts {
  const facts: Facts = {}
  const state = (trigger: Trigger | undefined) =>
    trigger === undefined ? 'missing' : db.isEnabled(trigger) ? 'enabled' : 'disabled'
  for (const name of [...capture.map((trigger) => trigger.name), ...DOORBELLS.map(({ trigger }) => trigger)])
    facts[`trigger:${name}`] = state(db.triggers.find((each) => each.name === name))
  for (const { name, table } of capture) {
    facts[`definition:${name}`] = definitionOf(db, name)
    for (const other of db.triggers)
      if (other.table === table && other.name !== name)
        facts[`otherTrigger:${table.definition.name}.${other.name}`] = state(other)
  }
  return facts
}

/** The hash of a trigger's text as the migration made it, without line ends, blanks and tabs. */
function definitionOf(db: Database, trigger: string): string | null {
  const text = db.triggers.some(({ name }) => name === trigger) ? db.definitions.get(trigger) : undefined
  if (text === undefined) return null
  return createHash('sha256')
    .update(Buffer.from(text.replaceAll(/[\r\n \t]/g, ''), 'utf16le'))
    .digest('hex')
}

function rightFacts({ db, session }: Work, capture: readonly Trigger[]): Facts {
  const isOperator = flag(session.login === OPERATOR)
  const facts: Facts = { 'right:sysadmin': isOperator, 'right:db_owner': isOperator }
  for (const { table } of capture) {
    const { name } = table.definition
    facts[`right:SELECT dbo.${name}`] = flag(may(session, 'SELECT', { schema: 'dbo', name }))
  }
  for (const name of SERVICE_PROCEDURES) {
    const isThere = db.procedure('sync', name) !== undefined
    facts[`right:EXECUTE sync.${name}`] = flag(isThere && may(session, 'EXECUTE', { schema: 'sync', name }))
  }
  for (const [table, column] of [
    ['tblwork', 'PersonID'],
    ['tblInvoice', 'AlignerSetID'],
  ] as const) {
    const { primaryKey, unique, indexes } = db.table('dbo', table).definition
    const first = [primaryKey.columns, ...unique.map(({ columns }) => columns), ...indexes].map(([name]) => name)
    facts[`index:${table}(${column})`] = flag(first.includes(column))
  }
  return facts
}

function migrationFacts({ db, tx }: Work): Facts {
  const table = db.table('sync', 'Migrations')
  return Object.fromEntries(
    [...tableRelation(table).scan({ tx, mode: 'S', onLocked: 'wait' })].map(({ values }) => [
      `migration:${String(values[table.ordinal('Name')])}`,
      String(values[table.ordinal('Checksum')]),
    ]),
  )
}
