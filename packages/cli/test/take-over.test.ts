// From the original system's schema, with what it had not brought over, to two sides that are equal.
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { compareSides } from '../../demo/src/compare.ts'
import { backfillCommand } from '../src/backfill/command.ts'
import { migrate } from '../src/migrate/index.ts'
import { requeueCommand } from '../src/requeue/command.ts'
import { takeOverCommand } from '../src/take-over/command.ts'
import { openPortalSide } from '../src/take-over/portal-side.ts'
import { until, world } from './support/whole-sync.ts'

const PORTAL_TABLES = new URL('../../../migrations/postgres/00_portal_tables.sql', import.meta.url)

/** The clinic as the original left it: what staff see. */
const CLINIC = `
  INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'Dr. Layla');
  INSERT INTO dbo.tblpatients (PatientName, Phone) VALUES (N'Ali Hassan', N'0750 1'), (N'Zainab Omar', N'0750 2');
  INSERT INTO dbo.tblwork (PersonID, TotalRequired, Typeofwork, DrID, Status) VALUES (1, 100, 19, 1, 1), (2, 100, 19, 1, 1);
  INSERT INTO dbo.tblAlignerSets (WorkID, SetSequence, AlignerDrID, Days) VALUES (1, 1, 1, 14), (2, 1, 1, 14);
  INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount, Days)
    VALUES (1, 1, 10, 10, 14), (1, 2, 10, 10, 14), (2, 1, 10, 10, 21);
  SET IDENTITY_INSERT dbo.tblAlignerNotes ON;
  INSERT INTO dbo.tblAlignerNotes (NoteID, AlignerSetID, NoteType, NoteText, CreatedAt) VALUES
    (1, 1, 'Doctor', N'both have it', '2026-01-01T10:00:00'),
    (2, 1, 'Doctor', N'before the doctor edited it', '2026-01-01T11:00:00'),
    (3, 1, 'Doctor', N'staff edited it', '2026-01-01T12:00:00'),
    (4, 1, 'Lab', N'the lab note that has the key', '2026-01-02T10:00:00'),
    (5, 2, 'Doctor', N'another note of a doctor that has the key', '2026-01-03T10:00:00');
  SET IDENTITY_INSERT dbo.tblAlignerNotes OFF`

/** Its outbox: a row of each status, deletes, records that are gone, the same one again and again, a table that nobody syncs. */
const QUEUE = `
  INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation, JsonData, Status, Attempts, LastError) VALUES
    (N'patients', 1, N'INSERT', N'{"person_id":1,"phone":"0750 0"}', N'Synced', 1, NULL),
    (N'patients', 1, N'UPDATE', NULL, N'Pending', 0, NULL),
    (N'patients', 1, N'UPDATE', NULL, N'Pending', 0, NULL),
    (N'patients', 1, N'UPDATE', NULL, N'Failed', 5, N'timeout'),
    (N'work', 2, N'UPDATE', NULL, N'Processing', 1, NULL),
    (N'aligner_notes', 3, N'UPDATE', NULL, N'Failed', 5, N'duplicate key value violates unique constraint'),
    (N'aligner_notes', 7, N'DELETE', N'{"note_id":7}', N'Pending', 0, NULL),
    (N'aligner_notes', 8, N'DELETE', NULL, N'Failed', 5, N'timeout'),
    (N'aligner_batches', 2, N'UPDATE', NULL, N'Pending', 0, NULL),
    (N'aligner_sets', 99, N'UPDATE', NULL, N'Pending', 0, NULL),
    (N'patients', 98, N'UPDATE', NULL, N'Pending', 0, NULL),
    (N'appointments', 5, N'UPDATE', NULL, N'Pending', 0, NULL)`

/** The portal, as the original and the doctors left it. */
const PORTAL = `
  CREATE SEQUENCE aligner_notes_note_id_seq AS integer;
  ALTER TABLE aligner_notes ALTER COLUMN note_id SET DEFAULT nextval('aligner_notes_note_id_seq');
  INSERT INTO aligner_doctors (dr_id, doctor_name) VALUES (1, 'Dr. Layla');
  INSERT INTO patients (person_id, patient_name, phone) VALUES (1, 'Ali Hassan', '0750 0'), (2, 'Zainab Omar', '0750 2');
  INSERT INTO work (work_id, person_id, type_of_work) VALUES (1, 1, 19), (2, 2, 20);
  INSERT INTO aligner_sets (aligner_set_id, work_id, aligner_dr_id, set_sequence, days)
    VALUES (1, 1, 1, 1, 14), (2, 2, 1, 1, 14), (99, 2, 1, 1, 14);
  INSERT INTO aligner_batches (aligner_batch_id, aligner_set_id, batch_sequence, upper_aligner_count, lower_aligner_count, days)
    VALUES (1, 1, 1, 10, 10, 10), (2, 1, 2, 10, 10, 7), (3, 2, 1, 10, 10, 21), (50, 2, 9, 1, 1, 9);
  INSERT INTO aligner_notes (note_id, aligner_set_id, note_type, note_text, created_at, is_edited) VALUES
    (1, 1, 'Doctor', 'both have it', '2026-01-01T10:00:00Z', false),
    (2, 1, 'Doctor', 'after the doctor edited it', '2026-01-01T08:00:00Z', true),
    (3, 1, 'Doctor', 'before staff edited it', '2026-01-01T09:00:00Z', false),
    (4, 1, 'Doctor', 'dropped, since the lab had the key', '2026-02-02T10:00:00Z', false),
    (5, 2, 'Doctor', 'dropped, since another doctor had the key', '2026-02-03T10:00:00Z', false),
    (6, 2, 'Doctor', 'its webhook was lost', '2026-02-04T10:00:00Z', false),
    (7, 1, 'Doctor', 'deleted in the clinic', '2026-01-07T10:00:00Z', false),
    (8, 1, 'Lab', 'deleted in the clinic too', '2026-01-08T10:00:00Z', false),
    (9, 1, 'Lab', 'deleted in the clinic before it captured deletes', '2026-01-09T10:00:00Z', false);
  SELECT setval('aligner_notes_note_id_seq', 9)`

t.test('from the original system to two equal sides, and nothing is lost', async (t) => {
  const here = await world(t, { original: true })
  const { simulator, clinicSql, portalSql } = here
  const environment = Object.assign(here.environment, {
    SQLSERVER_ADMIN_URL: simulator.url,
    CLINIC_DOORBELL: 'none' as const,
  })

  await clinicSql(CLINIC)
  await clinicSql(QUEUE)
  await portalSql(await readFile(PORTAL_TABLES, 'utf8'))
  await portalSql(PORTAL)

  await migrate({ side: 'clinic', url: simulator.url })
  await migrate({ side: 'portal', url: environment.POSTGRES_URL })

  // Between the migration and the take-over both sides are at work.
  await portalSql("UPDATE aligner_notes SET note_text = 'its webhook was lost, and edited since' WHERE note_id = 6")
  await clinicSql("UPDATE dbo.tblpatients SET Phone = N'0750 3' WHERE PersonID = 2")

  const said: string[] = []
  const takeOver = (more: { dryRun?: boolean; deleteGone?: boolean } = {}) => {
    said.length = 0
    const options = { dryRun: false, deleteGone: false, ...more }
    return takeOverCommand({ environment, say: (line) => said.push(line), ...options })
  }
  const KINDS = [
    /^aligner_batches: 1 of the portal has a doctor’s values that never reached the clinic: /,
    /^aligner_batches: 1 of the portal waits for a change of the clinic’s .*: the clinic’s/,
    /^aligner_batches: 1 of the portal is no longer in the clinic: .*\(keys 50\)/,
    /^aligner_notes: 1 of the portal never reached the clinic: /,
    /^aligner_notes: 2 of the portal have the keys of other records in the clinic: /,
    /^aligner_notes: 1 of the portal has a doctor’s values/,
    /^aligner_notes: 2 of the portal wait for changes/,
    /^aligner_notes: 1 of the portal is no longer in the clinic: .*\(keys 9\)/,
  ]

  const { clinic, portal, url } = await here.startIngress()
  await here.startConsumers()

  await t.test(
    'until then nothing crosses, though the services run: it would overwrite what never arrived',
    async (t) => {
      await t.rejects(clinic.takeChanges(10), { code: 'SYNC_NOT_TAKEN_OVER', advice: /take-over/ })
      const readiness = async () => await (await fetch(`${url}/readyz`)).text()
      await until('it says why', async () => /51231/.test(await readiness()))
      t.match(await readiness(), /51231/)
      const queued = async () => (await portalSql("SELECT FROM sync.queue WHERE status = 'Queued'")).length === 1
      await until('the doctor’s edit waits in RabbitMQ', queued)
      t.ok(await queued())
      t.same(await clinicSql("SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE Status IN (N'Queued', N'Synced')"), [
        { n: 1 },
      ])
    },
  )

  await t.test('a dry run says it, and does nothing', async (t) => {
    const before = await portalSql('SELECT * FROM aligner_notes ORDER BY note_id')
    await takeOver({ dryRun: true })
    t.match(said, [...KINDS, 'Nothing was changed.'])
    t.notMatch(said.join(), /Ali|webhook was lost|0750/)
    t.same(await portalSql('SELECT * FROM aligner_notes ORDER BY note_id'), before)
    t.same(await portalSql('SELECT count(*)::int AS n FROM sync.queue'), [{ n: 1 }])
  })

  await t.test('what never arrived gets a key of its own; all that is overwritten is on record', async (t) => {
    await takeOver({ deleteGone: true })
    t.match(said, KINDS)
    t.same(await portalSql('SELECT note_text FROM aligner_notes WHERE note_id < 0 ORDER BY note_text'), [
      { note_text: 'dropped, since another doctor had the key' },
      { note_text: 'dropped, since the lab had the key' },
      { note_text: 'its webhook was lost, and edited since' },
    ])
    const kept = await portalSql('SELECT table_name, record_id, base, lost_row FROM sync.lost_edits ORDER BY 1, 2')
    t.match(kept, [
      { table_name: 'aligner_batches', record_id: 1, base: { days: 14 }, lost_row: { days: 10 } },
      { table_name: 'aligner_batches', record_id: 2, base: { days: 14 }, lost_row: { days: 7 } },
      { table_name: 'aligner_notes', record_id: 2 },
      { table_name: 'aligner_notes', record_id: 3, lost_row: { note_text: 'before staff edited it' } },
      { table_name: 'aligner_notes', record_id: 7, base: null, lost_row: { note_text: 'deleted in the clinic' } },
    ])
  })

  await t.test('run again it finds what is under way, and adds nothing', async (t) => {
    const state = () =>
      portalSql('SELECT (SELECT count(*) FROM sync.queue) AS q, (SELECT count(*) FROM sync.lost_edits) AS l')
    const before = await state()
    await takeOver()
    t.same(await state(), before)
  })

  const ring = () => requeueCommand({ environment, say: () => {}, status: ['Queued'], dryRun: false })
  const settled = async () => {
    const open = await clinicSql("SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE Status IN (N'Pending', N'Queued')")
    const [theirs] = await portalSql("SELECT count(*)::int AS n FROM sync.queue WHERE status IN ('Pending', 'Queued')")
    return open[0]?.n === 0 && theirs?.n === 0
  }

  await t.test('then the services bring over everything that was queued, and the backfill the rest', async (t) => {
    await until('the ingress is ready', async () => (await fetch(`${url}/readyz`)).ok)
    await requeueCommand({ environment, say: () => {}, status: ['Failed'], side: 'clinic', dryRun: false })
    await backfillCommand({
      environment,
      restart: false,
      out: { isTTY: false, write: () => true } as unknown as NodeJS.WriteStream,
      signal: new AbortController().signal,
    })
    await ring()
    await until('nothing is on its way', settled, 60_000)
    for (const { table, differences } of await compareSides(clinic, portal)) t.same(differences, [], table)
    const failed = await clinicSql("SELECT TableName, LastError FROM dbo.SyncQueue WHERE Status = N'Failed'")
    t.match(failed, [{ TableName: 'appointments', LastError: /^SYNC_UNKNOWN_TABLE/ }])
    const texts = async () =>
      (await clinicSql('SELECT NoteText FROM dbo.tblAlignerNotes')).map(({ NoteText }) => String(NoteText)).toSorted()
    t.same(await texts(), [
      'after the doctor edited it',
      'another note of a doctor that has the key',
      'both have it',
      'dropped, since another doctor had the key',
      'dropped, since the lab had the key',
      'its webhook was lost, and edited since',
      'staff edited it',
      'the lab note that has the key',
    ])
    t.same(await clinicSql('SELECT AlignerBatchID, Days FROM dbo.tblAlignerBatches'), [
      { AlignerBatchID: 1, Days: 10 },
      { AlignerBatchID: 2, Days: 14 },
      { AlignerBatchID: 3, Days: 21 },
    ])
    t.same(await portalSql('SELECT person_id, phone FROM patients ORDER BY 1'), [
      { person_id: 1, phone: '0750 1' },
      { person_id: 2, phone: '0750 3' },
    ])
    t.same(await clinicSql('SELECT COUNT(*) AS n FROM dbo.SyncQueue_original'), [{ n: 12 }])
  })
})

t.test('the portal is reached as everywhere: encrypted, unless its address says otherwise', async (t) => {
  await t.rejects(openPortalSide('postgres://me:secret@portal.invalid/postgres?sslmode=prefer'), {
    code: 'SYNC_CONFIG',
    message: /^POSTGRES_ADMIN_URL cannot be used: sslmode=prefer would go on without encryption/,
  })
})
