import type { Row } from '@clinic-sync/contracts'
import t from 'tap'
import { account, type Complaint, type Evidence } from '../src/end/account.ts'
import type { Lost, Ruled } from '../src/end/books.ts'
import { type Entry, Ledger } from '../src/people/ledger.ts'
import type { Side } from '../src/schedule/schedule.ts'
import { editorsOf, type Editors, type Fate, type Subject } from '../src/schedule/subjects.ts'
import { columnNamed } from '../src/schedule/values.ts'

const SEED = 1
const KEY = 7
const RECORD = `aligner_notes/${KEY}`

/** A note whose text, by the seed, is edited by those. */
function noteFor(editors: Editors, fate: Fate = 'steady'): Subject {
  const column = columnNamed('aligner_notes', 'note_text')
  for (let n = 1; ; n++) {
    const subject: Subject = { name: `note ${n}`, table: 'aligner_notes', fate, set: 'set 1', noteType: 'Doctor' }
    if (editorsOf(SEED, subject, column) === editors) return subject
  }
}

interface Case {
  readonly editors: Editors
  readonly fate?: Fate
  /** What people did to the text: who, before, after. The first makes the note. */
  readonly edits: readonly (readonly [Side, string | null, string | null])[]
  /** The text in the end; null: the note is gone. */
  readonly end: string | null
  readonly conflicts?: readonly Partial<Ruled>[]
  readonly lost?: readonly Lost[]
}

function complaints({ editors, fate, edits, end, conflicts = [], lost = [] }: Case): readonly Complaint[] {
  const ledger = new Ledger()
  ledger.name(noteFor(editors, fate), KEY)
  const row = (text: string | null): Row | null => (text === null ? null : { note_text: text })
  const entries = edits.map(([side, before, after], order): Entry => {
    const kind = after === null ? 'delete' : before === null ? 'insert' : 'update'
    return { side, table: 'aligner_notes', key: KEY, kind, before: row(before), after: row(after), order, at: order }
  })
  ledger.write(entries)
  const evidence: Evidence = {
    seed: SEED,
    ledger,
    rows: new Map(end === null ? [] : [[RECORD, { note_text: end }]]),
    conflicts: conflicts.map((ruled) => ({
      record: RECORD,
      column: 'note_text',
      clinic: null,
      portal: null,
      ruling: 'clinic-wins',
      ...ruled,
    })),
    lost,
    dead: new Set(),
  }
  return account(evidence)
}

const BORN = ['staff', null, 'a'] as const

t.test('where one side edits a column, its last value stands', async (t) => {
  const edits = [BORN, ['doctors', 'a', 'b'], ['doctors', 'b', 'c']] as const
  t.same(complaints({ editors: 'doctors', edits, end: 'c' }), [])
  t.match(complaints({ editors: 'doctors', edits, end: 'b' }), [{ column: 'note_text', what: /lost/ }])
  t.match(complaints({ editors: 'doctors', edits, end: 'a' }), [{ what: /lost/ }])
  t.match(complaints({ editors: 'doctors', edits, end: 'c', conflicts: [{ portal: 'b' }] }), [{ what: /conflict/ }])
  const byStaff = [BORN, ['staff', 'a', 'b']] as const
  t.match(complaints({ editors: 'staff', edits: byStaff, end: 'a' }), [{ what: /lost/ }])
})

t.test('where both do, the last of one of them stands, and what gave way unseen is on record', async (t) => {
  const unseen = [BORN, ['staff', 'a', 's'], ['doctors', 'a', 'd']] as const
  t.match(complaints({ editors: 'both', edits: unseen, end: 's' }), [{ what: /doctors was overwritten/ }])
  t.same(complaints({ editors: 'both', edits: unseen, end: 's', conflicts: [{ clinic: 's', portal: 'd' }] }), [])
  t.match(complaints({ editors: 'both', edits: unseen, end: 's', conflicts: [{ clinic: 's', portal: 'x' }] }), [
    { what: /overwritten/ },
  ])
  t.match(complaints({ editors: 'both', edits: unseen, end: 'd' }), [{ what: /staff was overwritten/ }])
  t.match(complaints({ editors: 'both', edits: unseen, end: 'a' }), [{ what: /neither/ }])
  t.match(complaints({ editors: 'both', edits: unseen, end: 'z' }), [{ what: /nobody/ }])
  const seen = [BORN, ['staff', 'a', 's'], ['doctors', 's', 'd']] as const
  t.same(complaints({ editors: 'both', edits: seen, end: 'd' }), [], 'who has seen it may overwrite it')
})

t.test('not only the last value: one that was overwritten in between must be on record too', async (t) => {
  const edits = [BORN, ['staff', 'a', 's'], ['doctors', 'a', 'd'], ['doctors', 's', 'e']] as const
  t.match(complaints({ editors: 'both', edits, end: 'e' }), [{ what: /doctors was overwritten/ }])
  t.same(complaints({ editors: 'both', edits, end: 'e', conflicts: [{ clinic: 's', portal: 'd' }] }), [])
})

t.test('U+0000, which Postgres cannot store, is no difference; a blank and a case are', async (t) => {
  const edits = [BORN, ['staff', 'a', 'b\u0000c ']] as const
  t.same(complaints({ editors: 'staff', edits, end: 'bc ' }), [])
  t.match(complaints({ editors: 'staff', edits, end: 'bc' }), [{ what: /lost/ }])
  t.match(complaints({ editors: 'staff', edits, end: 'BC ' }), [{ what: /lost/ }])
})

t.test('deleted stays deleted; brought back is there; what nobody deleted is there', async (t) => {
  const deleted = [BORN, ['staff', 'a', null]] as const
  const revived = [...deleted, ['staff', null, 'b']] as const
  t.same(complaints({ editors: 'staff', fate: 'mortal', edits: deleted, end: null }), [])
  t.match(complaints({ editors: 'staff', fate: 'mortal', edits: deleted, end: 'a' }), [{ what: /there again/ }])
  t.same(complaints({ editors: 'staff', fate: 'mortal', edits: revived, end: 'b' }), [])
  t.match(complaints({ editors: 'staff', fate: 'mortal', edits: revived, end: null }), [{ what: /gone/ }])
  t.match(complaints({ editors: 'staff', fate: 'mortal', edits: revived, end: 'a' }), [{ what: /lost/ }])
  const byDoctor = [BORN, ['doctors', 'a', null]] as const
  t.same(complaints({ editors: 'doctors', fate: 'erased', edits: byDoctor, end: 'a' }), [], 'the clinic gave it back')
  t.match(complaints({ editors: 'doctors', fate: 'erased', edits: byDoctor, end: null }), [{ what: /gone/ }])
})

t.test('a doctor’s edit that went with the record is on record, unless it was seen', async (t) => {
  const unseen = [BORN, ['doctors', 'a', 'd'], ['staff', 'a', null]] as const
  t.match(complaints({ editors: 'both', fate: 'mortal', edits: unseen, end: null }), [{ what: /went with the record/ }])
  const kept = { record: RECORD, row: null }
  t.same(complaints({ editors: 'both', fate: 'mortal', edits: unseen, end: null, lost: [kept] }), [])
  const seen = [BORN, ['doctors', 'a', 'd'], ['staff', 'd', null]] as const
  t.same(complaints({ editors: 'both', fate: 'mortal', edits: seen, end: null }), [])
})
