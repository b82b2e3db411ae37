// sync.ApplyPortalChanges: it waits for nobody, and takes what others have not committed for nothing. Runs against the
// simulator, and SQLSERVER_URL when it is set.
import type { SyncEvent } from '@clinic-sync/contracts'
import t from 'tap'
import { openApplying } from './applying.ts'

const bench = await openApplying(t)
const { set } = await bench.treatment()
// There, readers do not meet locks and a writer's wait has no limit: such a test would hang.
const skip = bench.babelfish && 'Babelfish knows neither LOCK_TIMEOUT nor READPAST nor UPDLOCK: it cannot judge locks'
const LOCKED = 'retry 1222: locked in the clinic'

t.beforeEach(() => bench.clear())

async function notes(count: number): Promise<number[]> {
  const found: number[] = []
  for (let i = 0; i < count; i++) found.push(await bench.note(set, { NoteType: 'Doctor' }))
  return found
}

t.test("a person's open transaction holds up its own row only", { skip }, async (t) => {
  const all = await notes(20)
  const held = all[7] as number
  const events = await Promise.all(all.map((note) => bench.edit('aligner_notes', note, { note_text: 'changed' })))
  const session = await bench.session()
  await session.begin()
  await session.run(`UPDATE dbo.tblAlignerNotes SET IsRead = 1 WHERE NoteID = ${held}`)
  const outcomes = await bench.apply(...events)
  t.strictSame(
    outcomes.map(({ outcome }) => outcome),
    all.map((note) => (note === held ? 'retry' : 'applied')),
  )
  t.match(outcomes[7], { code: '1222', reason: 'locked in the clinic' })
  t.equal(await bench.state(events[7] as SyncEvent), null, 'nothing is recorded of it')
  t.equal(await bench.ruling(events[7] as SyncEvent), LOCKED)
  await session.commit()
  t.equal(await bench.ruling(events[7] as SyncEvent), 'applied')
  t.match(await bench.row('aligner_notes', held), { note_text: 'changed', is_read: true })
})

t.test('a delete that is not committed is neither a delete nor none', { skip }, async (t) => {
  const [note, other] = (await notes(2)) as [number, number]
  for (const [key, end] of [
    [note, 'rollback'],
    [other, 'commit'],
  ] as const) {
    const event = await bench.edit('aligner_notes', key, { note_text: 'changed' })
    const session = await bench.session()
    await session.begin()
    await session.run(`DELETE FROM dbo.tblAlignerNotes WHERE NoteID = ${key}`)
    t.equal(await bench.ruling(event), LOCKED)
    t.strictSame(await bench.conflicts(event), [])
    await session[end]()
    t.match(await bench.ruling(event), end === 'commit' ? /^conflict/ : /^applied$/)
  }
})

t.test('an insert of the same key that is not committed', { skip }, async (t) => {
  for (const end of ['rollback', 'commit'] as const) {
    const born = bench.born(set)
    const session = await bench.session()
    await session.begin()
    await session.run(
      `SET IDENTITY_INSERT dbo.tblAlignerNotes ON; INSERT INTO dbo.tblAlignerNotes (NoteID, AlignerSetID, NoteType, NoteText) VALUES (${born.data.key}, ${set}, 'Doctor', N'theirs'); SET IDENTITY_INSERT dbo.tblAlignerNotes OFF`,
    )
    t.equal(await bench.ruling(born), LOCKED)
    await session[end]()
    t.match(await bench.ruling(born), end === 'commit' ? /^conflict: note_text: clinic-wins/ : /^applied$/)
  }
})

t.test('a set that somebody holds holds up its new notes, and a set not committed is none yet', { skip }, async (t) => {
  const { set: held, work, doctor } = await bench.treatment()
  const [event, other] = [bench.born(held), bench.born(set)]
  const session = await bench.session()
  await session.begin()
  await session.run(`UPDATE dbo.tblAlignerSets SET Days = 1 WHERE AlignerSetID = ${held}`)
  t.strictSame(
    (await bench.apply(event, other)).map(({ outcome }) => outcome),
    ['retry', 'applied'],
  )
  t.equal(await bench.ruling(event), LOCKED)
  await session.commit()
  t.equal(await bench.ruling(event), 'applied')

  await session.begin()
  await session.run(`INSERT INTO dbo.tblAlignerSets (WorkID, AlignerDrID) VALUES (${work}, ${doctor})`)
  const [made] = await session.run('SELECT CAST(SCOPE_IDENTITY() AS int) AS id, CAST(@@IDENTITY AS int) AS last')
  const early = bench.born(Number(made?.last))
  t.equal(await bench.ruling(early), LOCKED)
  await session.commit()
  t.equal(await bench.ruling(early), 'applied')
})

t.test(
  "a person's own wait is for the transaction only, and nobody is chosen as a deadlock's victim",
  { skip },
  async (t) => {
    const all = await notes(10)
    const session = await bench.session()
    for (let round = 0; round < 20; round++) {
      const events = await Promise.all(
        all.map((note) => bench.edit('aligner_notes', note, { is_read: round % 2 === 0 })),
      )
      const person = (async () => {
        await session.begin()
        // Against the order of keys, as a deadlock needs it.
        for (const note of all.toReversed())
          await session.run(`UPDATE dbo.tblAlignerNotes SET NoteText = N'round ${round}' WHERE NoteID = ${note}`)
        await session.commit()
      })()
      const [outcomes] = await Promise.all([bench.apply(...events), person])
      t.ok(outcomes.every(({ outcome }) => /^(applied|unchanged|retry)$/.test(outcome)))
      for (const note of all) t.match(await bench.row('aligner_notes', note), { note_text: `round ${round}` })
    }
  },
)
