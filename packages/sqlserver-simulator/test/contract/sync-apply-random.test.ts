// sync.ApplyPortalChanges against the rules of packages/sync, on random records and events, in batches. Runs against the
// simulator, and SQLSERVER_URL when it is set.
import { openZone } from '@clinic-sync/clinic'
import type { Row, SyncEvent } from '@clinic-sync/contracts'
import { allColumns, type Table, tableNamed } from '@clinic-sync/mapping'
import { clinicTypes, ruleOnPortalEdit, type Values } from '@clinic-sync/sync'
import t from 'tap'
import { type Applying, openApplying, sharedOf, type Synced, toWire } from './applying.ts'
import { literal } from './bench.ts'
import { randomFrom } from './random.ts'

const RECORDS = 150
const CREATED = '2026-01-10T08:00:00.000Z'
const zone = openZone('Asia/Baghdad')

interface Case {
  readonly event: SyncEvent
  readonly row: Row | null
  readonly seen: string
  readonly reported: Row | null
}

type Random = ReturnType<typeof randomFrom>
const pick = <T>(random: Random, from: readonly T[]) => from[random(from.length)] as T

function note(random: Random, set: number): Row {
  return {
    aligner_set_id: set,
    note_type: pick(random, ['Doctor', 'Doctor', 'Doctor', 'Lab']),
    note_text: pick(random, ['a', 'A', 'a ', 'ا', '', ' ', 'b', 'x'.repeat(5000), 'x'.repeat(5001)]),
    created_at: CREATED,
    is_edited: pick(random, [true, false, null]),
    edited_at: pick(random, [null, '2026-01-31T08:15:30.120Z', '2026-01-31T08:15:30.130Z', '2026-02-01T00:00:00.000Z']),
    is_read: random(2) === 0,
  }
}

function batch(random: Random, set: number, sequence: number): Row {
  const days = pick(random, [null, 0, 7, 8, 9, -1])
  return {
    aligner_set_id: set,
    batch_sequence: sequence,
    upper_aligner_count: 3,
    lower_aligner_count: 2,
    days,
    validity_period: days && days * 3,
    is_active: false,
  }
}

/** What the portal sends that was not in the clinic: other values of shared columns, and now and then of the clinic's. */
function edited(random: Random, table: Synced, row: Row): Row {
  if (table === 'aligner_batches') return random(8) === 0 ? { ...row, notes: 'the doctor' } : row
  const odd: Row[] = [
    { is_read: null },
    { edited_at: '1700-01-01T00:00:00.000Z' },
    { note_type: 'x'.repeat(25) },
    { note_type: 'doctor' },
    { aligner_set_id: 999 },
    { created_at: null },
    { note_text: null },
  ]
  return random(3) === 0 ? { ...row, ...pick(random, odd) } : row
}

function makeCase(bench: Applying, random: Random, table: Synced, key: number, set: number): Case {
  const some = (): Row => ({
    ...Object.fromEntries(allColumns(tableNamed(table)).map(({ name }) => [name, null])),
    [tableNamed(table).key.name]: key,
    ...(table === 'aligner_notes' ? note(random, set) : batch(random, set, Math.abs(key))),
  })
  const row = random(4) > 0 ? some() : null
  // Often like the clinic's, so that every rule has its turn.
  const near = () => (row !== null && random(2) === 0 ? row : some())
  const seen = pick(random, ['0', '0', '4', '8'])
  const reported = seen !== '0' && random(5) > 0 ? sharedOf(table, near()) : null
  const base = random(4) > 0 ? sharedOf(table, near()) : null
  const sent = random(6) > 0 ? edited(random, table, { ...near(), ...(random(2) === 0 && base) }) : null
  const dated = { version: pick(random, ['4', '8', '9', '9', '9']), since: pick(random, ['3', '5', '9']), base }
  return { event: bench.event(table, key, sent, dated), row, seen, reported }
}

const stored = (value: Row[string]) =>
  typeof value === 'string' && value.endsWith('Z')
    ? `CONVERT(datetime, CAST('${zone.toWall(value)}' AS datetime2(3)))`
    : literal(value ?? null)

async function prepare(bench: Applying, table: Synced, cases: readonly Case[]): Promise<void> {
  const { clinic, key, columns } = tableNamed(table)
  const own = [key, ...columns].filter(({ computed }) => !computed)
  const rows = cases
    .map(({ row }) => row)
    .filter((row) => row !== null)
    .map((row) => `(${own.map((column) => stored(row[column.name] ?? null)).join(', ')})`)
  if (rows.length > 0)
    await bench.run(
      `SET IDENTITY_INSERT dbo.${clinic} ON; INSERT INTO dbo.${clinic} (${own.map((c) => c.clinic).join(', ')}) VALUES ${rows.join(', ')}; SET IDENTITY_INSERT dbo.${clinic} OFF`,
    )
  const wall = ([name, value]: [string, unknown]) => [
    name,
    typeof value === 'string' && value.endsWith('Z') ? zone.toWall(value) : value,
  ]
  const states = cases
    .filter(({ seen }) => seen !== '0')
    .map(({ event, seen, reported }) => {
      const values = reported && JSON.stringify(Object.fromEntries(Object.entries(reported).map(wall)))
      return `('${table}', ${event.data.key}, ${seen}, ${literal(values)})`
    })
  if (states.length > 0)
    await bench.run(
      `INSERT INTO sync.RowState (TableName, RecordID, SeenPortalVersion, PortalValues) VALUES ${states.join(', ')}`,
    )
}

/** The rules' answer, with what the engine is asked for afterwards. */
function expected(table: Table, { event, row, seen, reported }: Case, set: number) {
  const { key, version, since, base, row: sent } = event.data
  const edit = { version: BigInt(version), since: since === null ? null : BigInt(since), base, row: sent }
  const record = { row, seen: BigInt(seen), reported }
  const ruling = ruleOnPortalEdit(
    table,
    key,
    record,
    edit,
    clinicTypes((_, parent) => parent === set),
  )
  const { outcome, code, reason } = ruling
  return {
    outcome: { table: table.name, key, version, outcome, ...(code && { code }), ...(reason && { reason }) },
    row: ruling.record.row,
    seen: ruling.record.seen.toString(),
    reported: ruling.record.reported,
    queued: ruling.queue !== null || ruling.write !== null,
    conflicts: ruling.conflicts.map(({ column, ruling: decided }) => `${column} ${decided}`).sort(),
  }
}

/** What the engine made of it: the same, read from its tables. Computed columns are as the rules leave them. */
async function found(bench: Applying, table: Synced, { event }: Case, wanted: ReturnType<typeof expected>) {
  const { key } = event.data
  const row = await bench.row(table, key)
  const state = await bench.state(event)
  const conflicts = await bench.conflicts(event)
  return {
    row: row && { ...row, ...(wanted.row && computedOf(table, wanted.row)) },
    seen: state?.seen ?? '0',
    reported: state?.values ? toWire(table, state.values) : null,
    conflicts: conflicts.map(({ ColumnName, Ruling }) => `${ColumnName} ${Ruling}`).sort(),
  }
}

const computedOf = (table: Synced, row: Row | Values): Row =>
  Object.fromEntries(
    tableNamed(table)
      .columns.filter(({ computed }) => computed)
      .map(({ name }) => [name, row[name] ?? null]),
  )

for (const portalDeletes of [undefined, 'propagate'] as const) {
  t.test(`where the portal's deletes ${portalDeletes ?? 'do not travel'}`, async (t) => {
    const bench = await openApplying(t, portalDeletes && { portalDeletes })
    const { set } = await bench.treatment()
    const seed = Date.now() % 1_000_000
    const random = randomFrom(seed)
    for (const table of ['aligner_notes', 'aligner_batches'] as const) {
      const mapped = tableNamed(table)
      const variant = { ...mapped, deletes: { ...mapped.deletes, portal: portalDeletes ?? mapped.deletes.portal } }
      const keys = Array.from({ length: RECORDS }, (_, i) =>
        table === 'aligner_notes' && random(2) === 0 ? -i - 1 : i + 1,
      )
      const cases = keys.map((key) => makeCase(bench, random, table, key, set))
      await prepare(bench, table, cases)
      await bench.clear()
      const outcomes = await bench.apply(...cases.map(({ event }) => event))
      const queue = new Set((await bench.queue()).map((row) => row.split(' ', 1)[0]))
      for (const [i, each] of cases.entries()) {
        const wanted = expected(variant, each, set)
        const actual = await found(bench, table, each, wanted)
        const queued = queue.has(`${table}/${each.event.data.key}`)
        t.strictSame({ outcome: outcomes[i], queued, ...actual }, wanted, `${each.event.subject}, seed ${seed}`)
      }
    }
  })
}
