import { deadQueue, DIRECTIONS } from '@clinic-sync/broker'
import type { Direction } from '@clinic-sync/contracts'
import { testReceiver } from '@clinic-sync/dev-services/testing'
import amqp from 'amqplib'
import t from 'tap'
import { addCase, preparePipeline } from './pipeline.ts'

/** Values that stand for a patient's data; each is written somewhere below, some of them where they cannot be applied. */
const SECRETS = {
  name: 'Zaynab-Privacy-Marker',
  phone: '0770-PRIV-4711',
  note: 'privacy marker in a note ✍️',
  email: 'privacy.marker@example.test',
  path: 'private-folder-marker',
  tooLong: 'too-long-marker-'.repeat(8),
  doctor: 'doctor-marker 🗓️',
  days: '424242',
}

t.test('no value of a patient is in a log line, an outbox error, a dead letter’s headers or an alert', async (t) => {
  const alerts = await testReceiver<unknown>(t)
  const pipeline = await (await preparePipeline(t)).start('debug', { ALERT_WEBHOOK_URL: alerts.url })
  const { clinic, portal } = pipeline
  const run = (sql: string) => clinic.request().query(sql)
  await addCase(clinic, 1, SECRETS.name)
  await run(`UPDATE dbo.tblpatients SET Phone = N'${SECRETS.phone}' WHERE PersonID = 1`)
  await run(
    `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText, IsRead) VALUES (1, 'Lab', N'${SECRETS.note}', 0)`,
  )
  await pipeline.settled()

  // A doctor's address twice (23505), a value that a CHECK refuses (23514), one that is too long (22001), one that must not be null (23502).
  await portal.query(
    'ALTER TABLE aligner_sets ADD CONSTRAINT no_marker CHECK (folder_path NOT LIKE $$%folder-marker$$)',
  )
  await portal.query('ALTER TABLE patients ALTER COLUMN last_name TYPE varchar(20)')
  await portal.query(`UPDATE aligner_doctors SET logo_path = ''`)
  await portal.query('ALTER TABLE aligner_doctors ALTER COLUMN logo_path SET NOT NULL')
  await run(
    `INSERT INTO dbo.AlignerDoctors (DoctorName, DoctorEmail, LogoPath) VALUES (N'First', N'${SECRETS.email}', N'')`,
  )
  await pipeline.settled()
  await run(
    `INSERT INTO dbo.AlignerDoctors (DoctorName, DoctorEmail, LogoPath) VALUES (N'Second', N'${SECRETS.email}', N'')`,
  )
  await run(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'${SECRETS.name}')`)
  await run(`UPDATE dbo.tblAlignerSets SET FolderPath = N'${SECRETS.path}' WHERE AlignerSetID = 1`)
  await run(`UPDATE dbo.tblpatients SET LastName = N'${SECRETS.tooLong}' WHERE PersonID = 1`)
  await pipeline.settled()

  const failed = await run(
    `SELECT TableName, RecordID, LastError FROM dbo.SyncQueue WHERE Status = 'Failed' ORDER BY QueueID`,
  )
  const reasons = failed.recordset.map((row) => `${row.TableName}: ${row.LastError}`)
  t.ok(
    reasons.some((reason) => reason.includes('23505') && reason.includes('doctor_email')),
    'the second address is named',
  )
  t.ok(
    reasons.some((reason) => reason.startsWith('aligner_sets') && reason.includes('23514')),
    'the CHECK is named',
  )
  t.ok(
    reasons.some((reason) => reason.startsWith('patients') && reason.includes('22001')),
    'the length is named',
  )
  t.ok(
    reasons.some((reason) => reason.startsWith('aligner_doctors') && reason.includes('23502')),
    'the missing value is named',
  )

  // The consumer loses its database in the middle of things.
  await portal.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  )
  await run(`UPDATE dbo.tblpatients SET Phone = N'${SECRETS.phone} again' WHERE PersonID = 1`)
  await run(`UPDATE dbo.tblpatients SET LastName = NULL WHERE PersonID = 1`)
  await pipeline.settled()

  // What doctors write: taken; for a set that the clinic lacks; refused by a CHECK of the clinic's own; in conflict; overruled.
  await run(
    `INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount) VALUES (1, 1, 1, 1)`,
  )
  await run('ALTER TABLE dbo.tblAlignerBatches ADD CONSTRAINT CK_days CHECK (Days < 1000)')
  await portal.query(`INSERT INTO aligner_sets (aligner_set_id, work_id, aligner_dr_id) VALUES (999, 1, 1)`)
  await pipeline.settled()
  for (const set of [1, 999])
    await portal.query(`INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES ($1, 'Doctor', $2)`, [
      set,
      SECRETS.doctor,
    ])
  await portal.query(`UPDATE aligner_batches SET days = ${SECRETS.days}`)
  await portal.query('UPDATE aligner_notes SET note_text = $1 WHERE note_id > 0', [SECRETS.doctor])
  await pipeline.settled()
  const refused = await portal.query<{ last_error: string }>(
    `SELECT record_id, last_error FROM sync.queue WHERE status = 'Failed' ORDER BY queue_id`,
  )
  reasons.push(...refused.rows.map(({ last_error }) => last_error))
  t.match(
    refused.rows,
    [{ last_error: /the clinic has no aligner_sets 999/ }, { last_error: /CK_days/ }],
    'the set and the CHECK are named',
  )

  const toldOf = (direction: string) =>
    alerts.texts.some((text) => text.includes('"dead-letters"') && text.includes(`"direction":"${direction}"`))
  await pipeline.until('the alerts are sent', async () => toldOf('sql-to-postgres') && toldOf('postgres-to-sql'))
  t.notMatch(await pipeline.logs(), 'SECRET-PATH', "nor is the alerts' address in a log line")

  // The ingress has them in hand for a moment whenever it looks at them, for its alerts.
  const headers: unknown[] = []
  await pipeline.until('the failures are dead letters, each in nobody’s hands', async () => {
    for (const direction of DIRECTIONS) headers.push(...(await deadLetterHeaders(pipeline.rabbitUrl, direction)))
    return headers.length >= failed.recordset.length + refused.rows.length
  })
  const places = {
    logs: await pipeline.logs(),
    reasons: reasons.join('\n'),
    headers: JSON.stringify(headers),
    alerts: alerts.texts.join('\n'),
  }
  t.match(places.logs, /"level":"debug"/, 'the services did log at debug level')
  for (const [place, text] of Object.entries(places)) {
    for (const [what, value] of Object.entries(SECRETS)) {
      t.notOk(text.includes(value), `${place}: no ${what}`)
      t.notOk(text.includes(JSON.stringify(value).slice(1, -1)), `${place}: no ${what}, escaped`)
    }
  }
})

async function deadLetterHeaders(url: string, direction: Direction): Promise<unknown[]> {
  const connection = await amqp.connect(url)
  const channel = await connection.createChannel()
  const headers: unknown[] = []
  for (;;) {
    const message = await channel.get(deadQueue(direction), { noAck: true })
    if (message === false) break
    headers.push(message.properties.headers)
  }
  await connection.close()
  return headers
}
