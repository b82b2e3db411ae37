import type { Row } from '@clinic-sync/contracts'
import { tableNamed } from '@clinic-sync/mapping'
import { storable } from '@clinic-sync/sync'
import { type PortalCase, portalApplyCases, portalEditCases } from '@clinic-sync/sync/cases'
import t from 'tap'
import { bench, edit, event, parents, rowOf } from './help.ts'

// The rules' table of cases, run against the real database: applying a clinic's change, and capturing a doctor's.
const db = await bench()
t.teardown(() => db.close())
const { portal } = db
const doctor = await db.connect()
await portal.applyChanges(parents())

/** Texts as Postgres can store them. */
const stored = (row: Row): Row =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, typeof value === 'string' ? storable(value) : value]),
  )

/** Puts the record, its bookkeeping and its outbox rows into the state of the case; nothing else is in the outbox. */
async function arrange({ table, key, state }: PortalCase) {
  const { row, clinicVersion, localVersion, since, base, pending } = state
  const id = tableNamed(table).key.name
  await doctor.query(`SET sync.applying = 'on'; DELETE FROM public.${table} WHERE ${id} = ${key};
    DELETE FROM sync.queue; DELETE FROM sync.lost_edits; DELETE FROM sync.row_state WHERE record_id = ${key}`)
  if (row) {
    const values = JSON.stringify(stored(row))
    await doctor.query(`INSERT INTO public.${table} SELECT * FROM jsonb_populate_record(NULL::public.${table}, $1)`, [
      values,
    ])
  }
  if (clinicVersion !== '0' || localVersion !== '0') {
    await doctor.query('INSERT INTO sync.row_state VALUES ($1, $2, $3, $4, $5, $6)', [
      table,
      key,
      clinicVersion,
      localVersion,
      since,
      base && JSON.stringify(stored(base)),
    ])
  }
  for (const id of pending) {
    await doctor.query('INSERT INTO sync.queue (queue_id, table_name, record_id, operation) VALUES ($1, $2, $3, $4)', [
      id,
      table,
      key,
      row ? 'UPDATE' : 'DELETE',
    ])
  }
  const highest = [localVersion, ...pending].map(BigInt).reduce((a, b) => (a > b ? a : b))
  await doctor.query("SELECT setval('sync.queue_ids', $1 + 1)", [highest])
  await doctor.query('RESET sync.applying')
}

/** The record as far as `named` names its columns, and what the portal knows of it. */
async function found({ table, key }: PortalCase, named: Row | null) {
  const [known] = await db.rows(
    'SELECT clinic_version, local_version, since, base FROM sync.row_state WHERE table_name = $1 AND record_id = $2',
    [table, key],
  )
  const pending = await db.rows("SELECT queue_id FROM sync.queue WHERE status = 'Pending' ORDER BY queue_id")
  const lost = await db.rows('SELECT FROM sync.lost_edits')
  const row = (await rowOf(portal, table, key)) ?? null
  return {
    row: row && named && Object.fromEntries(Object.keys(named).map((name) => [name, row[name]])),
    exists: row !== null,
    clinicVersion: known?.clinic_version ?? '0',
    localVersion: known?.local_version ?? '0',
    since: known?.since ?? null,
    base: known?.base ? (JSON.parse(known.base) as Row) : null,
    pending: pending.map(({ queue_id }) => queue_id),
    lost: lost.length > 0,
  }
}

const named = (row: Row | null) => row && stored(row)

t.test("applying a clinic's change", async (t) => {
  const cases = portalApplyCases()
  t.ok(cases.length > 0)
  for (const each of cases) {
    const { table, key, name, expect } = each
    await arrange(each)
    const { version, seen, row } = each.event
    const options = { version: Number(version), seen: Number(seen) }
    const outcomes = await portal.applyChanges([event(table, key, row, options)])
    const after = await found(each, expect.row)
    const { row: expected, base, outcome, ...rest } = expect
    t.match(outcomes, [{ outcome }], name)
    t.match({ ...after, row: null, base: null }, { ...rest, row: null, base: null, exists: expected !== null }, name)
    t.same(after.row, named(expected), `${name}: the row`)
    t.match(after.base, named(base), `${name}: base`)
    t.equal(after.base === null, base === null, `${name}: base or none`)
  }
})

t.test("capturing a doctor's edit", async (t) => {
  const cases = portalEditCases()
  t.ok(cases.length > 0)
  for (const each of cases) {
    const { table, key, name, state, expect } = each
    if (table !== 'aligner_notes' && table !== 'aligner_batches')
      throw new Error(`${name}: ${table} does not sync back`)
    await arrange(each)
    const id = tableNamed(table).key.name
    const write = 'set' in each.edit ? each.edit.set : 'insert' in each.edit ? each.edit.insert : null
    const { [id]: _, ...columns } = write ?? {}
    await edit(doctor, table, key, write && stored(columns))
    const after = await found(each, expect.row)
    const newest = after.pending.at(-1)
    t.equal(after.localVersion, expect.captured ? newest : state.localVersion, `${name}: the version`)
    t.equal(after.since, expect.since === 'new' ? newest : expect.since, `${name}: since`)
    t.equal(after.pending.length, expect.pending, `${name}: pending`)
    t.equal(after.lost, expect.lost, `${name}: on record as lost`)
    t.equal(after.exists, expect.row !== null, `${name}: there or not`)
    t.same(after.row, named(expect.row), `${name}: the row`)
    t.match(after.base, named(expect.base), `${name}: base`)
    t.equal(after.base === null, expect.base === null, `${name}: base or none`)
    t.equal(after.clinicVersion, state.clinicVersion, `${name}: what was applied`)
  }
})
