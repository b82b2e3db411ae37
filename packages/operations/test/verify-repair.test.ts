import type { Key, Row } from '@clinic-sync/contracts'
import { allColumns, type Table, tableNamed, tables } from '@clinic-sync/mapping'
import t from 'tap'
import { repairDifferences, type VerifyRepairPorts, type VerifyRepairProgress } from '../src/index.ts'
import { compareSides } from './support/comparing.ts'
import { twoSides } from './support/two-sides.ts'

// What is planted behind the system's back, in each table and in each type of column: found exactly, repaired exactly, nothing else touched.

const both = await twoSides(t)
const { staff, doctor, settle, clinic } = both

await staff(`SET IDENTITY_INSERT dbo.AlignerDoctors ON;
  INSERT INTO dbo.AlignerDoctors (DrID, DoctorName, DoctorEmail) VALUES (1, N'Dr One', N'one@example.org'), (2, N'Dr Two', NULL);
  SET IDENTITY_INSERT dbo.AlignerDoctors OFF`)
await staff(`SET IDENTITY_INSERT dbo.tblpatients ON;
  INSERT INTO dbo.tblpatients (PersonID, PatientName, FirstName, Phone) VALUES (1, N'Test Patient', N'Test', N''), (2, N'Other', NULL, N'1 ');
  SET IDENTITY_INSERT dbo.tblpatients OFF`)
await staff(`SET IDENTITY_INSERT dbo.tblwork ON;
  INSERT INTO dbo.tblwork (workid, PersonID, TotalRequired, Typeofwork, DrID, Status, AdditionDate)
  VALUES (1, 1, 0, 19, 1, 1, '2026-01-02T03:04:05'), (2, 2, 0, 19, 1, 1, NULL);
  SET IDENTITY_INSERT dbo.tblwork OFF`)
await staff(`INSERT INTO dbo.tblAlignerSets (WorkID, SetSequence, AlignerDrID, SetCost, Currency, CreationDate, IsActive, Notes)
  VALUES (1, 1, 1, 1500.50, N'USD', '2026-02-03', 1, N''), (2, 1, 2, 10, N'USD', NULL, 0, NULL), (2, 2, 2, NULL, NULL, NULL, 1, NULL)`)
await staff(`INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount, Days, ManufactureDate, IsActive, Notes)
  VALUES (1, 1, 4, 3, 10, '2026-03-04', 1, N'as it was'), (1, 2, 4, 3, 10, NULL, 0, NULL), (2, 1, 4, 3, NULL, NULL, NULL, N'x')`)
await staff(`INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText, IsRead)
  VALUES (1, 'Doctor', N'as it was', 0), (1, 'Lab', N'of the lab', 1), (2, 'Doctor', N'a' + NCHAR(0) + N'b', 0)`)
await settle()
await doctor("INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES (1, 'Doctor', 'by a doctor')")
await doctor('UPDATE aligner_batches SET days = 11 WHERE aligner_batch_id = 2')
await settle()

/** As the owner, past triggers and foreign keys. */
const behind = (statement: string) =>
  doctor(`SET session_replication_role = replica; ${statement}; RESET session_replication_role`)

const compare = () => compareSides(both)

const repair = (keys: ReadonlyMap<Table, readonly Key[]>, ports: Partial<VerifyRepairPorts> = {}) =>
  repairDifferences({ clinic, portal: both.portal, ring: settle, patienceMs: 3_000, ...ports }, keys)

const CLINIC = [
  'AlignerDoctors',
  'tblpatients',
  'tblwork',
  'tblAlignerSets',
  'tblAlignerBatches',
  'tblAlignerNotes',
  'tblInvoice',
]
/**
 * Everything that people see, on both sides. Of the records that were repaired the portal's own columns (updated_at) are left away: of all
 * others not even these may change.
 */
async function snapshot(repaired: readonly string[] | 'all' = 'all') {
  const parts: Record<string, unknown> = {}
  for (const table of CLINIC) parts[`clinic ${table}`] = await staff(`SELECT * FROM dbo.${table} ORDER BY 1`)
  for (const table of tables)
    for (const row of await doctor(`SELECT * FROM ${table.name} ORDER BY 1`)) {
      const name = `${table.name}/${String(row[table.key.name])}`
      const isMapped = ([column]: [string, unknown]) => allColumns(table).some((each) => each.name === column)
      const own = repaired === 'all' || repaired.some((each) => each.startsWith(`${name} `))
      parts[name] = own ? Object.fromEntries(Object.entries(row).filter(isMapped)) : row
    }
  return JSON.parse(JSON.stringify(parts)) as Record<string, unknown>
}
const lost = async () =>
  (await doctor(
    "SELECT table_name AS t, record_id AS k, lost_row AS row FROM sync.lost_edits WHERE reason LIKE 'verify%' ORDER BY lost_edit_id",
  )) as { t: string; k: number; row: Row }[]

t.test('before anything is planted both are equal', async (t) => {
  const { result, names } = await compare()
  t.strictSame(names, [])
  t.match(result, { differences: 0, inFlight: 0 })
})

/** One of each type of column, in each table; every one is the clinic's, or a shared one that the clinic wins. */
const PLANTED: readonly (readonly [statement: string, found: readonly string[]])[] = [
  ["UPDATE aligner_doctors SET doctor_name = 'Dr One ' WHERE dr_id = 1", ['aligner_doctors/1 different doctor_name']],
  ["UPDATE aligner_doctors SET doctor_email = '' WHERE dr_id = 2", ['aligner_doctors/2 different doctor_email']],
  ["UPDATE patients SET patient_name = 'TEST Patient' WHERE person_id = 1", ['patients/1 different patient_name']],
  ['UPDATE patients SET phone = NULL WHERE person_id = 1', ['patients/1 different phone']],
  ["UPDATE patients SET phone = '1' WHERE person_id = 2", ['patients/2 different phone']],
  [
    "UPDATE work SET addition_date = addition_date + interval '1 ms', type_of_work = 20 WHERE work_id = 1",
    ['work/1 different type_of_work,addition_date'],
  ],
  [
    "UPDATE aligner_sets SET set_cost = 1500.51, creation_date = '2026-02-04', is_active = NULL, notes = NULL WHERE aligner_set_id = 1",
    ['aligner_sets/1 different creation_date,is_active,notes,set_cost'],
  ],
  ["UPDATE aligner_batches SET notes = 'As it was' WHERE aligner_batch_id = 1", ['aligner_batches/1 different notes']],
  [
    'UPDATE aligner_batches SET is_active = false WHERE aligner_batch_id = 3',
    ['aligner_batches/3 different is_active'],
  ],
  ["UPDATE aligner_notes SET note_text = 'planted' WHERE note_id = 1", ['aligner_notes/1 different note_text']],
  ["UPDATE aligner_notes SET note_text = 'b' WHERE note_id = 3", ['aligner_notes/3 different note_text']],
  [
    "UPDATE aligner_notes SET is_read = NOT is_read, note_text = 'x' WHERE note_id = -1",
    ['aligner_notes/-1 different note_text,is_read'],
  ],
  ["UPDATE aligner_notes SET note_type = 'Doctor' WHERE note_id = 2", ['aligner_notes/2 different note_type']],
  [
    'UPDATE aligner_set_payments SET balance = 0, total_paid = NULL WHERE aligner_set_id = 1',
    ['aligner_set_payments/1 different total_paid,balance'],
  ],
  ['DELETE FROM aligner_doctors WHERE dr_id = 2', ['aligner_doctors/2 missing']],
  ['DELETE FROM patients WHERE person_id = 1', ['patients/1 missing']],
  ['DELETE FROM work WHERE work_id = 2', ['work/2 missing']],
  ['DELETE FROM aligner_sets WHERE aligner_set_id = 1', ['aligner_sets/1 missing']],
  ['DELETE FROM aligner_batches WHERE aligner_batch_id = 1', ['aligner_batches/1 missing']],
  ['DELETE FROM aligner_notes WHERE note_id IN (1, -1)', ['aligner_notes/-1 missing', 'aligner_notes/1 missing']],
  ['DELETE FROM aligner_set_payments', ['aligner_set_payments/1 missing', 'aligner_set_payments/2 missing']],
  ['INSERT INTO aligner_sets (aligner_set_id, work_id, aligner_dr_id) VALUES (99, 1, 1)', ['aligner_sets/99 extra']],
  [
    `INSERT INTO aligner_batches (aligner_batch_id, aligner_set_id, batch_sequence, upper_aligner_count, lower_aligner_count)
     VALUES (99, 1, 9, 1, 1), (-99, 1, 9, 1, 1)`,
    ['aligner_batches/-99 extra', 'aligner_batches/99 extra'],
  ],
  [
    "INSERT INTO aligner_notes (note_id, aligner_set_id, note_type, note_text, is_read) VALUES (99, 1, 'Lab', 'x', false)",
    ['aligner_notes/99 extra'],
  ],
  ['INSERT INTO aligner_set_payments (aligner_set_id, total_paid) VALUES (3, 1)', ['aligner_set_payments/3 extra']],
]

t.test('each of them alone', async (t) => {
  for (const [statement, expected] of PLANTED) {
    const before = await snapshot(expected)
    await behind(statement)
    const { result, names, plan } = await compare()
    t.strictSame(names, expected, statement)
    t.equal(result.differences, expected.length)
    const { remaining, equal } = await repair(plan.keys)
    t.strictSame(remaining, [], statement)
    t.equal(equal, expected.length)
    t.strictSame(await snapshot(expected), before, `${statement}: as before`)
    t.strictSame((await compare()).names, [])
  }
})

t.test('all that go together at once', async (t) => {
  const before = await snapshot()
  const changes = PLANTED.filter(([statement]) => !statement.startsWith('DELETE'))
  for (const [statement] of changes) await behind(statement)
  const { plan, result } = await compare()
  t.equal(result.differences, new Set(changes.flatMap(([, names]) => names.map((name) => name.split(' ')[0]))).size)
  const { remaining } = await repair(plan.keys)
  t.strictSame(remaining, [])
  t.strictSame(await snapshot(), before)
})

t.test('a portal that has lost everything', async (t) => {
  const before = await snapshot()
  await behind(tables.map(({ name }) => `DELETE FROM ${name}`).join('; '))
  const { plan, result } = await compare()
  t.equal(result.differences, result.rows)
  t.ok(result.tables.every((table) => table.portalRows === 0 && table.differences === table.clinicRows))
  const told: VerifyRepairProgress[] = []
  t.strictSame((await repair(plan.keys, { progress: (progress) => void told.push(progress) })).remaining, [])
  t.strictSame(await snapshot(), before)
  for (const stage of ['queued', 'arrived'] as const) {
    const of = told.filter((each) => each.stage === stage)
    t.ok(of.every(({ rows }, i) => rows >= (of[i - 1]?.rows ?? 0)))
    t.match(of.at(-1), { rows: result.rows, of: result.rows })
  }
})

t.test('what the portal is right about goes to the clinic, and nothing else with it', async (t) => {
  const before = await snapshot()
  await behind("UPDATE aligner_batches SET days = 21, notes = 'planted' WHERE aligner_batch_id = 1")
  const { names, plan } = await compare()
  t.strictSame(names, ['aligner_batches/1 different days,notes'])
  t.match(plan.tables, [{ table: 'aligner_batches', fromClinic: 1, fromPortal: 1 }])
  t.strictSame([...(plan.tables[0]?.portalColumns ?? [])], [['days', 1]])
  t.strictSame((await repair(plan.keys)).remaining, [])
  const [batch] = await staff('SELECT Days, Notes FROM dbo.tblAlignerBatches WHERE AlignerBatchID = 1')
  t.match(batch, { Days: 21, Notes: 'as it was' })
  t.match((await lost()).at(-1), { t: 'aligner_batches', k: 1, row: { days: 21, notes: 'planted' } })
  t.strictSame((await compare()).names, [])
  await staff('UPDATE dbo.tblAlignerBatches SET Days = 10 WHERE AlignerBatchID = 1')
  await settle()
  t.strictSame(await snapshot(), before)
})

t.test('a note of a doctor that has never reached the clinic is sent, not deleted', async (t) => {
  await behind(`INSERT INTO aligner_notes (note_id, aligner_set_id, note_type, note_text, is_read)
    VALUES (-50, 1, 'Doctor', 'never sent', false)`)
  const { names, plan } = await compare()
  t.strictSame(names, ['aligner_notes/-50 extra'])
  t.match(plan.tables, [{ born: 1, deleted: 0 }])
  t.strictSame((await repair(plan.keys)).remaining, [])
  t.match(await staff('SELECT NoteText FROM dbo.tblAlignerNotes WHERE NoteID = -50'), [{ NoteText: 'never sent' }])
  t.strictSame((await compare()).names, [])
})

t.test(
  'one that the clinic has had and deleted is deleted; one whose set the clinic lacks goes with it, on record',
  async (t) => {
    await staff('DELETE FROM dbo.tblAlignerNotes WHERE NoteID = -50')
    await settle()
    await behind(`INSERT INTO aligner_notes (note_id, aligner_set_id, note_type, note_text, is_read)
    VALUES (-50, 1, 'Doctor', 'deleted', false), (-60, 98, 'Doctor', 'of no set', false);
    INSERT INTO aligner_sets (aligner_set_id, work_id, aligner_dr_id) VALUES (98, 1, 1)`)
    const { names, plan } = await compare()
    t.strictSame(names, ['aligner_notes/-50 extra', 'aligner_notes/-60 extra', 'aligner_sets/98 extra'])
    t.strictSame((await repair(plan.keys)).remaining, [])
    t.strictSame(await doctor('SELECT 1 FROM aligner_notes WHERE note_id IN (-50, -60)'), [])
    t.ok((await lost()).some(({ k, row }) => k === -60 && row.note_text === 'of no set'))
    t.strictSame((await compare()).names, [])
  },
)

t.test(
  'what the clinic has deleted and the portal keeps is no difference; what it never had is, and is left',
  async (t) => {
    await staff(`SET IDENTITY_INSERT dbo.AlignerDoctors ON;
    INSERT INTO dbo.AlignerDoctors (DrID, DoctorName) VALUES (3, N'Dr Three');
    SET IDENTITY_INSERT dbo.AlignerDoctors OFF`)
    await settle()
    await staff('DELETE FROM dbo.AlignerDoctors WHERE DrID = 3')
    await settle()
    const kept = await compare()
    t.strictSame(kept.names, [])
    t.match(kept.result.tables[0], { table: 'aligner_doctors', clinicRows: 2, portalRows: 3, kept: 1 })
    await behind("INSERT INTO aligner_doctors (dr_id, doctor_name) VALUES (77, 'planted')")
    const { names, plan } = await compare()
    t.strictSame(names, ['aligner_doctors/77 extra'])
    t.ok(plan.isEmpty)
    const { remaining } = await repair(plan.keys)
    t.match(remaining, [{ table: 'aligner_doctors', key: 77, why: 'portal-only' }])
    await behind('DELETE FROM aligner_doctors WHERE dr_id = 77')
  },
)

t.test('an edit, and a delete, on which nobody will ever rule', async (t) => {
  // Their outbox rows are gone.
  await doctor("UPDATE aligner_notes SET note_text = 'unheard' WHERE note_id = 1")
  await doctor('DELETE FROM aligner_batches WHERE aligner_batch_id = 3')
  await doctor("DELETE FROM sync.queue WHERE status <> 'Synced'")
  const { names, plan } = await compare()
  t.strictSame(names, ['aligner_batches/3 missing', 'aligner_notes/1 different note_text'])
  t.strictSame((await repair(plan.keys)).remaining, [])
  t.match(await staff('SELECT NoteText FROM dbo.tblAlignerNotes WHERE NoteID = 1'), [{ NoteText: 'unheard' }])
  t.equal((await doctor('SELECT 1 FROM aligner_batches WHERE aligner_batch_id = 3')).length, 1)
  t.strictSame((await compare()).names, [])
  await staff("UPDATE dbo.tblAlignerNotes SET NoteText = N'as it was' WHERE NoteID = 1")
  await settle()
})

t.test('a change that the outbox of the clinic has lost', async (t) => {
  await staff("UPDATE dbo.tblpatients SET PatientName = N'Renamed' WHERE PersonID = 2")
  await staff('DELETE FROM dbo.tblAlignerBatches WHERE AlignerBatchID = 2')
  await staff("DELETE FROM dbo.SyncQueue WHERE Status <> N'Synced'")
  const { names, plan } = await compare()
  t.strictSame(names, ['aligner_batches/2 extra', 'patients/2 different patient_name'])
  t.strictSame((await repair(plan.keys)).remaining, [])
  t.match(await doctor('SELECT patient_name FROM patients WHERE person_id = 2'), [{ patient_name: 'Renamed' }])
  t.strictSame(await doctor('SELECT 1 FROM aligner_batches WHERE aligner_batch_id = 2'), [])
})

t.test('what has failed for good is a difference, is stuck, and is left', async (t) => {
  // Unique in the portal, not in the clinic.
  await staff("UPDATE dbo.AlignerDoctors SET DoctorEmail = N'one@example.org' WHERE DrID = 2")
  await both.publish('clinic')
  const [event] = both.onTheWay.portal.splice(0)
  if (event === undefined) throw new Error('nothing was sent')
  const { table, key, version } = event.data
  await clinic.settleChanges([{ table, key, version, outcome: 'dead', code: '23505', reason: 'is not unique' }])
  const { names, plan, result } = await compare()
  t.strictSame(names, ['aligner_doctors/2 different doctor_email'])
  t.match(result, { differences: 1, tables: [{ table: 'aligner_doctors', stuck: 1 }] })
  t.match((await repair(plan.keys)).remaining, [{ key: 2, why: 'stuck', stuck: { side: 'clinic', cause: '23505' } }])
  await staff('UPDATE dbo.AlignerDoctors SET DoctorEmail = NULL WHERE DrID = 2')
  await settle()
  t.strictSame((await compare()).names, [])
})

t.test('a repair that is interrupted, anywhere, and done again', async (t) => {
  const before = await snapshot()
  for (const step of ['keepRows', 'sendRows', 'queueRecords'] as const) {
    await behind("UPDATE aligner_batches SET days = 31, notes = 'planted' WHERE aligner_batch_id = 1")
    await behind('DELETE FROM aligner_notes WHERE note_id = 1')
    const { plan } = await compare()
    const broken = <T extends object>(side: T): T =>
      new Proxy(side, {
        get(target, name) {
          const member: unknown = Reflect.get(target, name, target)
          if (name !== step || typeof member !== 'function') return member
          return async (...given: unknown[]) => {
            await Reflect.apply(member, target, given)
            throw new Error('the power is gone')
          }
        },
      })
    await t.rejects(repair(plan.keys, { clinic: broken(clinic), portal: broken(both.portal) }), {
      message: 'the power is gone',
    })
    await settle()
    t.strictSame((await repair((await compare()).plan.keys)).remaining, [])
    t.strictSame((await compare()).names, [], `after ${step}`)
    await staff('UPDATE dbo.tblAlignerBatches SET Days = 10 WHERE AlignerBatchID = 1')
    await settle()
    t.strictSame(await snapshot(), before)
  }
})

t.test('every table is planted in', async (t) => {
  for (const { name } of tables)
    t.ok(
      PLANTED.some(([, names]) => names.some((each) => each.startsWith(`${name}/`))),
      tableNamed(name).name,
    )
})
