// The table of cases of the merge rules, the clinic's side. Runs against the simulator, and SQLSERVER_URL when it is set.
import { openZone, toPortalChange } from '@clinic-sync/clinic'
import type { Row, SyncEvent, Value } from '@clinic-sync/contracts'
import { allColumns, type Column, tableNamed } from '@clinic-sync/mapping'
import { clinicCases, type ClinicCase } from '@clinic-sync/sync/cases'
import t, { type Test } from 'tap'
import { type Applying, openApplying, type Synced, throughBabelfish, toWire } from './applying.ts'
import { type Cells, literal } from './bench.ts'

const zone = openZone('Asia/Baghdad')
/** U+0000 in a literal would end nothing, but be lost on the way. */
const inSql = (value: Value) =>
  typeof value === 'string'
    ? value
        .split('\0')
        .map((part) => literal(part))
        .join(' + NCHAR(0) + ')
    : literal(value)
const stored = ({ type }: Column, value: Value) =>
  type === 'instant' && typeof value === 'string' ? zone.toWall(value) : value

async function prepare(bench: Applying, { table, key, state }: ClinicCase): Promise<void> {
  const mapped = tableNamed(table)
  for (const each of ['dbo.tblAlignerNotes', 'dbo.tblAlignerBatches', 'sync.RowState', 'sync.Conflicts'])
    await bench.run(`DELETE FROM ${each}`)
  if (state.row !== null) {
    const columns = allColumns(mapped).filter(({ computed }) => !computed)
    const values = columns.map((column) => inSql(stored(column, state.row?.[column.name] ?? null)))
    await bench.run(
      `SET IDENTITY_INSERT dbo.${mapped.clinic} ON; ` +
        `INSERT INTO dbo.${mapped.clinic} (${columns.map(({ clinic }) => clinic).join(', ')}) VALUES (${values.join(', ')}); ` +
        `SET IDENTITY_INSERT dbo.${mapped.clinic} OFF`,
    )
  }
  if (state.seen !== '0' || state.reported !== null) {
    const { reported } = state
    const values = reported && mapped.columns.map((c) => [c.name, stored(c, reported[c.name] ?? null)] as const)
    const json = values && JSON.stringify(Object.fromEntries(values.filter(([name]) => name in (reported ?? {}))))
    await bench.run(
      `INSERT INTO sync.RowState (TableName, RecordID, SeenPortalVersion, PortalValues) VALUES ('${table}', ${key}, ${state.seen}, ${inSql(json)})`,
    )
  }
  await bench.clear()
}

/** As `ruling`, of an event that the clinic's zone cannot give back to the millisecond; this bench's zone can. */
async function inexactly(bench: Applying, { data }: SyncEvent): Promise<string> {
  const { table, key, version, since, base, row } = toPortalChange({ data } as SyncEvent, zone)
  const changes = JSON.stringify([{ table, key, version, since, base, row, inexact: true }])
  const [found] = await bench.run(`EXEC sync.ApplyPortalChanges @Changes = ${literal(changes)}`)
  return String(found?.Outcome)
}

const only = (row: Row, names: Row): Row =>
  Object.fromEntries(Object.keys(names).map((name) => [name, row[name] ?? null]))

/** A value of `sync.Conflicts` as it travels: JSON for a row, text for a column. */
function logged(table: Synced, column: string | null, text: unknown): Value | Row {
  if (text === null || text === undefined) return null
  if (column === null) return toWire(table, JSON.parse(String(text)) as Row)
  const { type } = tableNamed(table).columns.find(({ name }) => name === column) as Column
  if (type === 'int') return Number(text)
  if (type === 'boolean') return text === 'true'
  return type === 'instant' ? zone.toInstant(String(text)) : String(text)
}

function compareConflicts(t: Test, { table, expect, event }: ClinicCase, found: readonly Cells[]): void {
  const byColumn = (a: { column: string | null }, b: { column: string | null }) =>
    String(a.column).localeCompare(String(b.column))
  const actual = found
    .map((row) => {
      const column = row.ColumnName as string | null
      const value = (name: string) => logged(table as Synced, column, row[name])
      t.equal(row.PortalVersion, event.version, 'the version of the event')
      return {
        column,
        clinic: value('ClinicValue'),
        portal: value('PortalValue'),
        base: value('BaseValue'),
        ruling: row.Ruling,
      }
    })
    .sort(byColumn)
  const wanted = [...expect.conflicts].sort(byColumn)
  t.equal(actual.length, wanted.length, 'conflicts')
  t.match(actual, wanted)
}

/** Why Babelfish cannot judge a case, or false. */
function beyondBabelfish({ nul, event }: ClinicCase): string | false {
  if (nul === true) return 'Postgres stores no U+0000'
  const texts = [event.row, event.base].flatMap((row) => Object.values(row ?? {})).filter((v) => typeof v === 'string')
  return texts.every(throughBabelfish) ? false : "Babelfish's OPENJSON keeps escapes"
}

for (const deletes of ['restore', 'propagate'] as const) {
  t.test(`where the portal's deletes ${deletes}`, async (t) => {
    const bench = await openApplying(t, deletes === 'propagate' ? { portalDeletes: deletes } : {})
    const { set } = await bench.treatment()
    t.equal(set, 1, 'the set that the cases refer to')
    for (const each of clinicCases().filter((some) => some.deletes === deletes)) {
      const skip = bench.babelfish && beyondBabelfish(each)
      await t.test(each.name, { skip }, async (t) => {
        const { key, expect, event } = each
        const table = each.table as Synced
        await prepare(bench, each)
        const { version, since, base } = event
        const sent = bench.event(table, key, event.row, { version, since, base })
        const ruling = event.inexact === true ? await inexactly(bench, sent) : await bench.ruling(sent)
        t.equal(ruling.split(/[ :]/, 1)[0], expect.outcome, ruling)
        if (expect.code !== undefined) t.match(ruling, `${expect.outcome} ${expect.code}: `)
        if (expect.reason !== undefined) t.match(ruling, expect.reason)
        const row = await bench.row(table, key)
        t.strictSame(row && only(row, expect.row ?? {}), expect.row)
        const state = await bench.state(sent)
        t.equal(state?.seen ?? '0', expect.seen)
        const values = state?.values ?? null
        t.strictSame(values && toWire(table, only(values, expect.reported ?? {})), expect.reported)
        t.equal((await bench.queue()).length > 0, expect.queued, 'queued')
        compareConflicts(t, each, await bench.conflicts(sent))
      })
    }
  })
}
