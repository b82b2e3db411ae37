import t, { type Test } from 'tap'
import type { RepairPorts } from '../src/index.ts'
import { twoSides } from './support/two-sides.ts'

// What may be lost when a database goes back in time, tried step by step on both databases.

const both = await twoSides(t)
const { staff, doctor, settle, restored, differing, onTheWay } = both

await both.treatment()
await staff('INSERT INTO dbo.tblAlignerSets (WorkID, SetSequence, AlignerDrID) VALUES (1, 1, 1)')
await staff(`INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount, Days)
  VALUES (1, 1, 4, 3, 10), (1, 2, 4, 3, 10), (1, 3, 4, 3, 10)`)
await staff("INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES (1, 'Doctor', N'as it was')")
await settle()

const days = async (batch: number) =>
  (await staff(`SELECT Days FROM dbo.tblAlignerBatches WHERE AlignerBatchID = ${batch}`))[0]?.Days
const edit = (batch: number, value: number) =>
  doctor(`UPDATE aligner_batches SET days = ${value} WHERE aligner_batch_id = ${batch}`)
const noteText = async () => (await staff('SELECT NoteText FROM dbo.tblAlignerNotes WHERE NoteID = 1'))[0]?.NoteText
const write = (text: string) => doctor(`UPDATE aligner_notes SET note_text = '${text}' WHERE note_id = 1`)
const newNote = async (text: string) =>
  Number(
    (
      await doctor(`INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES (1, 'Doctor', '${text}')
        RETURNING note_id`)
    )[0]?.note_id,
  )
const named = (name: string) => staff(`UPDATE dbo.tblpatients SET PatientName = N'${name}' WHERE PersonID = 1`)
const inClinic = async (key: number) =>
  (await staff(`SELECT 1 AS x FROM dbo.tblAlignerNotes WHERE NoteID = ${key}`)).length
const textsOfClinic = async (text: string) =>
  (await staff(`SELECT 1 AS x FROM dbo.tblAlignerNotes WHERE NoteText = N'${text}' AND NoteID <> 1`)).length
const kept = async (table: string) =>
  doctor(`SELECT record_id, lost_row FROM sync.lost_edits WHERE table_name = '${table}' ORDER BY lost_edit_id`)

/** Nothing is left over: both are equal, agree, and go on. */
async function isWell(t: Test) {
  t.strictSame(await restored(), [])
  await settle()
  t.strictSame(await differing(), [])
  const failed = await doctor("SELECT table_name, last_error FROM sync.queue WHERE status = 'Failed'")
  t.strictSame(failed, [])
  t.strictSame(await staff("SELECT TableName, LastError FROM dbo.SyncQueue WHERE Status = 'Failed'"), [])
  await named(`after ${Math.random()}`)
  await edit(3, 10 + Math.ceil(Math.random() * 1_000_000))
  await settle()
  t.strictSame(await differing(), [])
}

t.test('the clinic: what RabbitMQ has of it is nowhere else, and is put on record', async (t) => {
  const back = await both.backUp('clinic')
  await edit(1, 14)
  const note = await newNote('only the portal has it')
  await settle()
  await named('only RabbitMQ has it')
  await both.publish('clinic')
  await write('on its way to the clinic')
  await both.publish('portal')
  t.ok(onTheWay.portal.length > 0 && onTheWay.clinic.length > 0)
  await back()
  await named('after the restore')
  await t.rejects(both.publish('clinic'), { code: 'SYNC_RESTORED' }, 'nothing is sent')
  await t.rejects(both.publish('portal'), { code: 'SYNC_RESTORED' })
  const { left } = await both.repair()
  t.strictSame(left, [])
  t.equal(await days(1), 14)
  t.equal(await inClinic(note), 1)
  t.equal(await noteText(), 'on its way to the clinic')
  t.match((await kept('patients')).at(-1), { lost_row: { patient_name: 'only RabbitMQ has it' } })
  await isWell(t)
})

t.test('the clinic: staff have changed since what a doctor had changed before', async (t) => {
  const back = await both.backUp('clinic')
  await edit(1, 20)
  await write('the doctor’s')
  await settle()
  await back()
  await staff('UPDATE dbo.tblAlignerBatches SET Days = 25 WHERE AlignerBatchID = 1')
  await staff("UPDATE dbo.tblAlignerNotes SET NoteText = N'the staff’s' WHERE NoteID = 1")
  await both.repair()
  t.equal(await days(1), 20, 'portal-wins')
  t.equal(await noteText(), 'the staff’s', 'clinic-wins')
  t.match(
    await staff('SELECT TOP (2) ColumnName, ClinicValue, PortalValue FROM sync.Conflicts ORDER BY ConflictID DESC'),
    [
      { ColumnName: 'note_text', ClinicValue: 'the staff’s', PortalValue: 'the doctor’s' },
      { ColumnName: 'days', ClinicValue: '25', PortalValue: '20' },
    ],
  )
  t.match((await kept('aligner_notes')).at(-1), { lost_row: { note_text: 'the doctor’s' } })
  await isWell(t)
})

t.test('the clinic, twice to the same backup', async (t) => {
  const back = await both.backUp('clinic')
  for (const value of [30, 31]) {
    await edit(1, value)
    const note = await newNote(`note ${value}`)
    await settle()
    await back()
    await both.repair()
    t.equal(await days(1), value)
    t.equal(await inClinic(note), 1)
    await isWell(t)
  }
})

t.test('the portal, twice to the same backup, with edits since and a delete before', async (t) => {
  await staff('INSERT INTO dbo.tblAlignerSets (WorkID, SetSequence, AlignerDrID) VALUES (1, 2, 1)')
  await settle()
  const back = await both.backUp('portal')
  await staff('DELETE FROM dbo.tblAlignerSets WHERE SetSequence = 2')
  for (const value of [40, 41]) {
    await edit(1, value)
    const arrived = await newNote(`arrived ${value}`)
    await named(`patient ${value}`)
    await settle()
    await back()
    await edit(2, value)
    await write(`since ${value}`)
    const since = await newNote(`since ${value}`)
    if (value === 40) t.equal(since, arrived, 'the key of one that has arrived')
    await t.rejects(both.publish('clinic'), { code: 'SYNC_RESTORED' })
    const { left } = await both.repair()
    t.strictSame(left, [])
    t.equal(await days(1), value, 'the clinic’s stands')
    t.equal(await days(2), value, 'an edit since')
    t.equal(await noteText(), 'since 40', 'the second time it meets what the clinic has: a conflict, which clinic wins')
    t.strictSame(await textsOfClinic(`since ${value}`), 1, 'a note whose key the clinic knew as another’s')
    t.strictSame(await textsOfClinic(`arrived ${value}`), 1)
    t.strictSame(await doctor('SELECT 1 FROM aligner_sets WHERE set_sequence = 2'), [])
    t.match(await doctor(`SELECT note_text FROM aligner_notes WHERE note_id = ${arrived}`), [
      { note_text: `arrived ${value}` },
    ])
    await isWell(t)
  }
})

t.test('both, to the same evening, with events of the day after in RabbitMQ', async (t) => {
  const [clinicBack, portalBack] = [await both.backUp('clinic'), await both.backUp('portal')]
  await named('the day after')
  await edit(1, 50)
  await settle()
  await named('on its way')
  await edit(2, 50)
  for (const side of ['clinic', 'portal'] as const) await both.publish(side)
  await clinicBack()
  await portalBack()
  await both.deliver('portal')
  await both.deliver('clinic')
  t.not((await restored()).length, 0, 'what RabbitMQ had tells of it')
  await both.repair()
  await isWell(t)
})

t.test('a repair that is interrupted, anywhere, and done again', async (t) => {
  const steps = ['hold', 'moveQueueIds', 'sendRows', 'queueRecords'] as const
  const back = await both.backUp('clinic')
  for (const step of steps) {
    const value = 60 + Math.ceil(Math.random() * 1_000_000)
    await edit(1, value)
    const note = await newNote(`note ${value}`)
    await settle()
    await back()
    await named('since')
    const broken = (usual: RepairPorts): RepairPorts => ({
      ...usual,
      clinic: breaking(usual.clinic, step),
      portal: breaking(usual.portal, step),
    })
    await t.rejects(both.repair(broken), { message: 'the power is gone' }, `after ${step}`)
    await t.rejects(both.publish('clinic'), { code: 'SYNC_RESTORED' }, 'nothing is sent before it has ended')
    const { left } = await both.repair()
    t.strictSame(left, [])
    t.equal(await days(1), value)
    t.equal(await inClinic(note), 1)
    t.strictSame(await restored(), [])
  }
  await isWell(t)
})

t.test('… also between letting go of one side and of the other', async (t) => {
  const back = await both.backUp('clinic')
  await edit(1, 70)
  await settle()
  await back()
  let holds = 0
  const broken = (usual: RepairPorts): RepairPorts => {
    const counted = <S extends RepairPorts['clinic'] | RepairPorts['portal']>(side: S): S => ({
      ...side,
      async hold(why) {
        await side.hold(why)
        if (why === null && ++holds === 2) throw new Error('the power is gone')
      },
    })
    return { ...usual, clinic: counted(usual.clinic), portal: counted(usual.portal) }
  }
  await t.rejects(both.repair(broken), { message: 'the power is gone' })
  t.strictSame(await restored(), ['clinic'], 'who runs it again is told of it')
  await both.repair()
  t.equal(await days(1), 70)
  await isWell(t)
})

t.test('both, interrupted after their ids were moved on, and once more while RabbitMQ is emptied', async (t) => {
  const [clinicBack, portalBack] = [await both.backUp('clinic'), await both.backUp('portal')]
  await named('the day after')
  await edit(1, 80)
  await settle()
  await named('on its way')
  await edit(2, 80)
  for (const side of ['clinic', 'portal'] as const) await both.publish(side)
  await clinicBack()
  await portalBack()
  await both.deliver('portal')
  await both.deliver('clinic')
  const broken = (usual: RepairPorts): RepairPorts => ({ ...usual, portal: breaking(usual.portal, 'moveQueueIds') })
  await t.rejects(both.repair(broken), { message: 'the power is gone' })
  const waits = (usual: RepairPorts): RepairPorts => ({ ...usual, waiting: () => Promise.reject(new Error('stopped')) })
  await t.rejects(both.repair(waits), { message: 'stopped' })
  await t.rejects(both.publish('clinic'), { code: 'SYNC_RESTORED' }, 'nothing is sent before it has ended')
  await both.repair()
  await isWell(t)
})

/** The same side, which loses the power after this step. */
function breaking<T extends object>(side: T, step: string): T {
  return new Proxy(side, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (name !== step || typeof member !== 'function') return member
      return async (...given: unknown[]) => {
        await Reflect.apply(member, target, given)
        throw new Error('the power is gone')
      }
    },
  })
}
