// One record's story, against the whole sync in this process.
import { declareBroker, openDeadLetterBox } from '@clinic-sync/broker'
import type { Row } from '@clinic-sync/contracts'
import { openScriptConnection } from '@clinic-sync/clinic'
import type { RecordStory } from '@clinic-sync/operations'
import t, { type Test } from 'tap'
import { explainCommand } from '../src/explain/command.ts'
import { recordNamed } from '@clinic-sync/operations'
import { paper, until, type World, world } from './support/whole-sync.ts'

/** Values that are nowhere else in what is printed: of people, and of every type. */
const VALUES = {
  DoctorName: 'Dr. Zaynab Qubtan',
  PatientName: 'علي حسن المحمود',
  NoteText: 'Attachment on 46 came off, she wears it 31 hours',
  NewText: 'Attachment on 46 is back, 29 hours',
  Days: 7_654_321,
  CreatedAt: '2019-03-07T11:12:13.450',
} as const
const SECRETS = /Zaynab|Qubtan|علي|Attachment|hours|7,?654,?321|2019-03-07|11:12:13|08:12:13|operator-token/

function asking(t: Test, { environment }: Pick<World, 'environment'>) {
  const run = async (
    name: string,
    more: Partial<typeof environment> & { showValues?: boolean; json?: boolean } = {},
  ) => {
    const { showValues = false, json = true, ...settings } = more
    const { out, text } = paper()
    const record = recordNamed(name, undefined)
    const own = { ...environment, ...settings }
    const code = await explainCommand({ environment: own, record, out, json, showValues, patienceMs: 5_000 })
    if (!showValues) t.notMatch(text(), SECRETS, `${name}: no value`)
    return { code, text: text() }
  }
  /** The story, and beside it each section's sentences in one. */
  const seen = async (name: string, more: Parameters<typeof run>[1] = {}) => {
    const { code, text } = await run(name, { ...more, json: true })
    const story = JSON.parse(text) as RecordStory
    const says = Object.fromEntries(story.sections.map(({ heading, sentences }) => [heading, sentences.join(' ')]))
    return { ...story, code, says }
  }
  return {
    run,
    seen,
    /** The same of a record that stands still: as lines it has the same sections. */
    async story(name: string, more: Parameters<typeof run>[1] = {}) {
      const story = await seen(name, more)
      const lines = await run(name, { ...more, json: false })
      for (const { heading } of story.sections) t.ok(lines.text.includes(heading), `${name}: ${heading} is printed`)
      return story
    },
  }
}

/** A treatment in the clinic, with the marked values. */
async function treatment({ clinicSql }: World) {
  const id = async (text: string) =>
    Number((await clinicSql(`${text}; SELECT CAST(SCOPE_IDENTITY() AS int) AS id`))[0]?.id)
  const doctor = await id(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'${VALUES.DoctorName}')`)
  const patient = await id(`INSERT INTO dbo.tblpatients (PatientName, LastName) VALUES (N'${VALUES.PatientName}', N'')`)
  const work = await id(
    `INSERT INTO dbo.tblwork (PersonID, TotalRequired, Typeofwork, DrID) VALUES (${patient}, 500, 19, 1)`,
  )
  const set = await id(
    `INSERT INTO dbo.tblAlignerSets (WorkID, AlignerDrID, SetSequence) VALUES (${work}, ${doctor}, 1)`,
  )
  const note = async (text: string = VALUES.NoteText) =>
    id(
      `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText, CreatedAt) VALUES (${set}, 'Doctor', N'${text}', '${VALUES.CreatedAt}')`,
    )
  const batch = await id(
    `INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount, Days) VALUES (${set}, 1, 1, 1, ${VALUES.Days})`,
  )
  return { doctor, patient, work, set, batch, note }
}

/** Behind the sync's back. */
const quietly = ({ portalSql }: World, text: string) =>
  portalSql(`BEGIN; SET LOCAL sync.applying = 'on'; ${text}; COMMIT`)

t.test('what was typed', (t) => {
  t.strictSame(recordNamed('aligner_notes', '5'), { table: 'aligner_notes', key: 5 })
  for (const name of ['aligner_notes/-5', 'tblAlignerNotes/-5', 'dbo.tblalignernotes/-5', '[dbo].[tblAlignerNotes]/-5'])
    t.strictSame(recordNamed(name, undefined), { table: 'aligner_notes', key: -5 }, name)
  const refused = (first: string, second: string | undefined, message: RegExp) =>
    t.throws(() => recordNamed(first, second), { code: 'SYNC_USAGE', message })
  refused(
    'notes',
    '5',
    /notes is no synced table\. There are aligner_doctors \(AlignerDoctors in the clinic\), patients/,
  )
  refused('Ali Hassan', '5', /^That is no synced table/)
  refused('aligner_notes', undefined, /Which record of aligner_notes\?/)
  refused('aligner_notes/5', '5', /once/)
  for (const key of ['x', '', '1.5', '5 ', '2147483648', '-2147483649', '99999999999'])
    refused('aligner_notes', key, /whole number/)
  t.end()
})

t.test('from nothing running to equal, and what may go wrong on the way', async (t) => {
  const here = await world(t)
  const { environment, clinicSql, portalSql, startIngress, startConsumers, endConsumers } = here
  await declareBroker({ url: environment.RABBITMQ_URL })
  const { set, patient, work, batch, note: newNote, doctor } = await treatment(here)
  const note = await newNote()
  const name = `aligner_notes/${note}`
  const ask = asking(t, here)

  const unsent = await ask.story(name)
  t.match(unsent, {
    code: 1,
    verdict: 'clinic-only',
    equal: false,
    outlook: 'held',
    unasked: ['ingress'],
    says: {
      'In short': 'The clinic has it, and the portal does not. A change of it is on its way, and held up.',
      'What happens next': /^The clinic's change: it is sent once the ingress runs, .*No ingress answers/,
      'Clinic to portal': /Outbox row \d+, INSERT, captured \d+ s ago: Pending\./,
      'Where it is': /dbo\.tblAlignerNotes, NoteID \d+.*The portal does not have it\./,
    },
  })

  await startIngress()
  await until('it is sent', async () => (await ask.seen(name)).says['Clinic to portal']?.includes('Queued') === true)
  t.match(await ask.story(name), {
    outlook: 'held',
    says: {
      'What happens next': /nobody takes the events of its queue, sync\.sql-to-postgres\.p\d/,
      'What to do': /Start the service sql-to-postgres/,
    },
  })

  await startConsumers()
  await until('it has arrived', async () => (await ask.seen(name)).outlook === 'none')
  const same = await ask.story(name)
  t.match(same, {
    code: 0,
    verdict: 'same',
    equal: true,
    unasked: [],
    says: {
      'In short': 'It is the same in the clinic and in the portal. Nothing of it is on its way.',
      Columns: /^All 8 columns are equal\.$/,
      'What happens next': 'Nothing: there is nothing to do.',
      'Clinic to portal': /latest change in the clinic has version (\d+)\. The portal has had version \1\./,
      Queues: /go through sync\.sql-to-postgres\.p\d: 0 events wait there, 1 consumer\./,
    },
  })
  t.ok(same.columns.every((each) => !('clinic' in each) && !('portal' in each)))
  for (const other of [
    `aligner_doctors/${doctor}`,
    `patients/${patient}`,
    `work/${work}`,
    `aligner_sets/${set}`,
    `aligner_batches/${batch}`,
  ])
    t.match(await ask.story(other), { code: 0, verdict: 'same' }, other)

  await t.test('values are told to who asks for them', async (t) => {
    const { text } = await ask.run(name, { json: false, showValues: true })
    t.equal(text.split(VALUES.NoteText).length - 1, 2, 'of both sides')
    const { columns } = JSON.parse((await ask.run(name, { showValues: true })).text) as RecordStory
    t.match(
      columns.find(({ column }) => column === 'created_at'),
      { clinic: '2019-03-07T08:12:13.450Z', portal: '2019-03-07T08:12:13.450Z' },
    )
  })

  await t.test('no value of the record is in it otherwise', async (t) => {
    const [row] = await portalSql(`SELECT * FROM aligner_notes WHERE note_id = ${note}`)
    const texts = Object.values(row as Row).flatMap((value) =>
      typeof value === 'string' && value.length > 3 ? [value] : [],
    )
    t.ok(texts.includes(VALUES.NoteText))
    for (const text of [(await ask.run(name)).text, (await ask.run(name, { json: false })).text])
      for (const value of texts.filter((each) => each !== 'Doctor')) t.notOk(text.includes(value))
  })

  await t.test('what differs, and how, behind the sync’s back', async (t) => {
    const columns = async (text: string, record = name) => {
      await quietly(here, text)
      return ask.story(record)
    }
    const where = `WHERE note_id = ${note}`
    t.match(await columns(`UPDATE aligner_notes SET note_text = note_text || '  ' ${where}`), {
      code: 1,
      verdict: 'apart',
      outlook: 'none',
      says: {
        'In short': /note_text differs\. Nothing is on its way: it stays so until it is repaired\.$/,
        Columns:
          /^note_text \(NoteText in the clinic; both sides'; in a conflict the clinic's stands\): they differ in trailing blanks only: the clinic's has \d+ characters, the portal's \d+\. The other 7 columns are equal\.$/,
        'What happens next': /Nothing by itself: the sides differ/,
        'What to do': new RegExp('verify --table aligner_notes --repair --dry-run'),
      },
    })
    const found = await columns(
      `UPDATE aligner_notes SET note_text = '', created_at = created_at + interval '3 hours', edited_at = now(), is_read = NOT is_read ${where}`,
    )
    t.match(found.says.Columns, /note_text .*the portal's is empty/)
    t.match(
      found.says.Columns,
      /created_at .*the clinic's\): the portal's is 3 h 0 min later, as a wrong CLINIC_TIME_ZONE/,
    )
    t.match(found.says.Columns, /edited_at .*the clinic's is NULL, the portal's a value\./)
    t.match(found.says.Columns, /is_read .*one is yes, the other no/)
    t.match(await columns(`UPDATE patients SET last_name = NULL WHERE person_id = ${patient}`, `patients/${patient}`), {
      code: 1,
      says: {
        Columns: /last_name \(LastName in the clinic; the clinic's\): the clinic's is empty, the portal's NULL\./,
      },
    })
    t.match(
      await columns(`DELETE FROM aligner_batches WHERE aligner_batch_id = ${batch}`, `aligner_batches/${batch}`),
      {
        code: 1,
        verdict: 'clinic-only',
        outlook: 'none',
        says: {
          'Where it is': /The portal does not have it, though it has had the clinic's version \d+ of it\./,
        },
      },
    )
  })

  await t.test('U+0000 counts as equal, and is told', async (t) => {
    const odd = await newNote(`${VALUES.NoteText}`)
    await clinicSql(`UPDATE dbo.tblAlignerNotes SET NoteText = NoteText + NCHAR(0) WHERE NoteID = ${odd}`)
    await until('it has arrived', async () => {
      const { verdict, outlook } = await ask.seen(`aligner_notes/${odd}`)
      return verdict === 'same' && outlook === 'none'
    })
    t.match(
      (await ask.story(`aligner_notes/${odd}`)).says.Columns,
      /note_text .*equal: the same but for characters that Postgres cannot store \(U\+0000\)/,
    )
  })

  await t.test('deleted in the clinic, never there, and out of scope', async (t) => {
    const gone = await newNote()
    await until('it is there', async () => (await ask.seen(`aligner_notes/${gone}`)).verdict === 'same')
    await clinicSql(`DELETE FROM dbo.tblAlignerNotes WHERE NoteID = ${gone}`)
    await until('it is gone', async () => (await ask.seen(`aligner_notes/${gone}`)).outlook === 'none')
    t.match(await ask.story(`aligner_notes/${gone}`), {
      code: 0,
      verdict: 'gone',
      says: {
        'Where it is':
          /The clinic does not have it: deleted \d+ s ago\. The portal does not have it, and it has had the clinic's version \d+ of it\./,
      },
    })
    t.match(await ask.story('aligner_notes/4711000'), {
      code: 1,
      verdict: 'never',
      equal: null,
      says: { 'In short': /neither remembers one: look at the table and the key/ },
    })
    const [row] = await clinicSql(
      `INSERT INTO dbo.tblpatients (PatientName) VALUES (N'${VALUES.PatientName}'); SELECT CAST(SCOPE_IDENTITY() AS int) AS id`,
    )
    await until('its row is settled', async () => (await ask.seen(`patients/${String(row?.id)}`)).outlook === 'none')
    t.match(await ask.story(`patients/${String(row?.id)}`), {
      code: 0,
      verdict: 'unsynced',
      says: {
        'Where it is':
          /not to be in the portal: records of patients enter it once a record of aligner_sets refers to them, through work, and none does\./,
      },
    })
    t.match(await ask.story(`aligner_set_payments/${set}`), {
      code: 0,
      verdict: 'unsynced',
      says: { 'Where it is': /its payment_status is the one that the mapping leaves out/ },
    })
  })

  await t.test('an open transaction in the clinic', async (t) => {
    const held = await newNote()
    await until('it is there', async () => (await ask.seen(`aligner_notes/${held}`)).outlook === 'none')
    const staff = openScriptConnection(here.simulator.url)
    t.teardown(() => staff.close())
    await staff.batch(
      `BEGIN TRANSACTION; UPDATE dbo.tblAlignerNotes SET NoteText = N'${VALUES.NewText}' WHERE NoteID = ${held}`,
    )
    t.match(await ask.story(`aligner_notes/${held}`), {
      code: 1,
      verdict: 'unknown',
      outlook: 'held',
      says: {
        'Where it is': /open transaction in the clinic holds it/,
        'What happens next': /transaction in the clinic's database has changed it and is still open/,
        'Clinic to portal': /not committed yet/,
      },
    })
    await staff.batch('ROLLBACK TRANSACTION')
    t.match(await ask.story(`aligner_notes/${held}`), { code: 0, verdict: 'same' })
  })

  await t.test('waiting to be tried again, since somebody holds the row in the portal', async (t) => {
    const locked = await newNote()
    await until('it is there', async () => (await ask.seen(`aligner_notes/${locked}`)).outlook === 'none')
    const holder = await here.portalSession(t)
    await holder.query(`BEGIN; SELECT FROM aligner_notes WHERE note_id = ${locked} FOR UPDATE`)
    await clinicSql(`UPDATE dbo.tblAlignerNotes SET NoteText = N'${VALUES.NewText}' WHERE NoteID = ${locked}`)
    let found = await ask.story(`aligner_notes/${locked}`)
    await until('it waits in a retry queue', async () => {
      found = await ask.seen(`aligner_notes/${locked}`)
      return /retry queues? \(/.test(found.says['What happens next'] ?? '')
    })
    t.match(found, {
      code: 1,
      verdict: 'apart',
      outlook: 'moving',
      says: {
        'In short': /A change of it is on its way, and arrives by itself\.$/,
        'What happens next':
          /has failed, and is tried again: 55P03.*It waits in the (first|second) of 3 retry queues \((5|60) s\), and is tried again by \d\d:\d\d:\d\d UTC\./,
        'Clinic to portal': /Queued, moved on \d+ s ago.*55P03/,
      },
    })
    await holder.query('ROLLBACK')
  })

  await t.test('a dead letter stands for it, or somebody has that in hand', async (t) => {
    const refused = await newNote()
    await until('it is there', async () => (await ask.seen(`aligner_notes/${refused}`)).outlook === 'none')
    await portalSql(
      `ALTER TABLE aligner_notes ADD CONSTRAINT short CHECK (note_id <> ${refused} OR length(note_text) > 40)`,
    )
    await clinicSql(`UPDATE dbo.tblAlignerNotes SET NoteText = N'${VALUES.NewText}' WHERE NoteID = ${refused}`)
    const record = `aligner_notes/${refused}`
    await until('it has failed', async () => (await ask.seen(record)).outlook === 'failed')
    await until('its letter is there', async () => (await ask.seen(record)).says['Dead letters'] !== undefined)
    const found = await ask.story(record)
    t.match(found, {
      code: 1,
      verdict: 'apart',
      says: {
        'In short': /could not be brought to the other side, and somebody has to look at it\.$/,
        'What happens next':
          /failed for good: 23514.*Nothing happens by itself: the dead letter \w{10} stands for it\./,
        'What to do': /dead-letters show \w{10} --rehearse.*dead-letters replay \w{10}/,
        'Dead letters': /^\w{10}, sql-to-postgres, version \d+, its change has not arrived; failed at .*23514/,
      },
    })
    const box = await openDeadLetterBox({ url: environment.RABBITMQ_URL, name: 'another' })
    t.match((await ask.story(record)).says, {
      'What happens next': /Whether a dead letter stands for it is not known/,
      'Dead letters': /^They cannot be looked at: /,
    })
    await box.close()

    // Cured by hand on both sides: equal, and the letter is still there.
    await quietly(
      here,
      `ALTER TABLE aligner_notes DROP CONSTRAINT short; UPDATE aligner_notes SET note_text = N'${VALUES.NewText}' WHERE note_id = ${refused}`,
    )
    t.match(await ask.story(record), {
      code: 0,
      verdict: 'same',
      outlook: 'failed',
      says: { 'What happens next': /Both sides are equal all the same\.$/ },
    })
  })

  await t.test('a doctor’s edit in flight, and a conflict that was ruled', async (t) => {
    const both = await newNote()
    const record = `aligner_notes/${both}`
    await until('it is there', async () => (await ask.seen(record)).outlook === 'none')
    await endConsumers()
    await portalSql(`UPDATE aligner_notes SET note_text = '${VALUES.NewText}', is_read = true WHERE note_id = ${both}`)
    await until(
      'it is sent',
      async () => (await ask.seen(record)).says['Portal to clinic']?.includes('Queued') === true,
    )
    t.match(await ask.story(record), {
      code: 1,
      verdict: 'apart',
      outlook: 'held',
      says: {
        'Portal to clinic':
          /The clinic has had none of the portal's versions\. A doctor's edits are in flight, from version (\d+) to \1: note_text and is_read\./,
        'What happens next': /The doctor's edit: nobody takes the events of its queue, sync\.postgres-to-sql\.p\d/,
        'What to do': /Start the service postgres-to-sql/,
      },
    })
    await clinicSql(`UPDATE dbo.tblAlignerNotes SET NoteText = NoteText + N', at night' WHERE NoteID = ${both}`)
    await startConsumers()
    await until('both agree', async () => (await ask.seen(record)).verdict === 'same')
    await until('all is settled', async () => (await ask.seen(record)).outlook === 'none')
    const ruled = await ask.story(record)
    t.match(ruled, {
      code: 0,
      rulings: [{ id: /^clinic\/\d+$/, columns: ['note_text'], ruling: 'clinic-wins' }],
      says: {
        Rulings: /^\d+ s ago, on note_text: the clinic's value stands, the doctor's does not \(clinic\/\d+\)\.$/,
      },
    })
    t.notOk('values' in (ruled.rulings[0] ?? {}))
    const { text } = await ask.run(record, { json: false, showValues: true })
    t.ok(text.includes(VALUES.NewText), 'what was lost is told to who asks for values')
  })

  await t.test('each part may be away, and the rest is told', async (t) => {
    const nowhere = '127.0.0.1:9'
    const clinicDown = await ask.story(name, { SQLSERVER_URL: `mssql://u:p@${nowhere}/x` })
    t.match(clinicDown, {
      code: 1,
      verdict: 'unknown',
      equal: null,
      unasked: ['clinic'],
      says: {
        'In short': /cannot be told now/,
        'Where it is': /The clinic cannot be asked: .*The portal has it\./,
        'Clinic to portal': /What the clinic has sent is not known/,
        'Portal to clinic': /No change of it that the portal has made is known/,
        'Not asked': /The clinic's database: /,
      },
    })
    t.match(await ask.story(name, { POSTGRES_URL: `postgres://u:p@${nowhere}/x` }), {
      code: 1,
      verdict: 'unknown',
      unasked: ['portal'],
      says: {
        'Where it is': /The clinic has it .*The portal cannot be asked: /,
        'Not asked': /The portal's database: /,
      },
    })
    t.match(await ask.story(`patients/${patient}`, { RABBITMQ_URL: `amqp://u:p@${nowhere}/x` }), {
      verdict: 'apart',
      unasked: ['RabbitMQ'],
      says: { 'Dead letters': /cannot be looked at/, 'Not asked': /RabbitMQ: / },
    })
    const { SYNC_OPERATOR_TOKEN: _, ...tokenless } = environment
    const { out, text } = paper()
    const record = recordNamed(name, undefined)
    await explainCommand({ environment: tokenless, record, out, json: false, showValues: false })
    t.match(text(), /Not asked +The ingress: SYNC_OPERATOR_TOKEN is missing/)
  })
})
