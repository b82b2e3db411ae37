import type { Change, Row } from '@clinic-sync/contracts'
import t from 'tap'
import { bench, edit, event, note, parents } from './help.ts'

// The design's executable model of the merge rules, with the real portal in the portal's place: random edits, deletes,
// revivals, coalescing drains, duplicated and reordered deliveries. When everything has arrived, both sides are equal; where
// only doctors edit the shared columns and nobody deletes (every other pair of rounds), their last edits stand.

const ROUNDS = 40
const STEPS = 40
const SHARED = ['note_text', 'edited_at'] as const
type Shared = { note_text: string; edited_at: string }
type Note = Shared & { created_at: string }

const at = (value: number) => new Date(Date.UTC(2026, 0, 1) + value * 1000).toISOString()
const sharedOf = ({ note_text, edited_at }: Record<string, unknown>) => ({ note_text, edited_at }) as Shared

/** The clinic of the model: clinic wins, the portal's deletes are restored. */
class Clinic {
  row: Note | null = null
  queueId = 0
  pending: number[] = []
  seen = 0
  reported: Shared | null = null

  write(row: Note | null) {
    if (JSON.stringify(row) === JSON.stringify(this.row)) return
    this.row = row
    this.queue()
  }
  queue() {
    this.pending.push(++this.queueId)
  }
  drain(key: number) {
    if (this.pending.length === 0) return undefined
    const version = Math.max(...this.pending)
    this.pending = []
    return event('aligner_notes', key, this.row && note(key, this.row), { version, seen: this.seen })
  }
  apply(change: Change) {
    if (Number(change.version) <= this.seen) return
    const base = Number(change.since) <= this.seen ? this.reported : change.base && sharedOf(change.base)
    const first = this.seen === 0
    this.seen = Number(change.version)
    const fresh = change.row && sharedOf(change.row)
    this.reported = fresh
    if (this.row === null && fresh === null) return
    if (fresh === null) return this.queue()
    if (this.row === null) {
      if (first && change.key < 0) return this.write({ created_at: String(change.row?.created_at), ...fresh })
      return this.queue()
    }
    const row = { ...this.row }
    for (const column of SHARED) {
      if (row[column] === fresh[column] || (base && fresh[column] === base[column])) continue
      if (base && row[column] === base[column]) row[column] = fresh[column]
    }
    this.write(row)
    if (SHARED.some((column) => row[column] !== fresh[column])) this.queue()
  }
}

t.test('random schedules: the two sides end equal', async (t) => {
  const db = await bench()
  t.teardown(() => db.close())
  const { portal } = db
  const doctors = await db.connect()
  await portal.applyChanges(parents())

  const local = async (key: number) => {
    const [found] = await portal.readRows('aligner_notes', key - 1, 1)
    return found?.key === key ? found.row : null
  }
  for (let round = 1; round <= ROUNDS; round++) {
    const random = seeded(round)
    const key = round % 2 ? round : -round
    const apart = round % 4 >= 2
    const last: Partial<Shared> = {}
    const clinic = new Clinic()
    const toPortal: ReturnType<typeof event>[] = []
    const toClinic: Change[] = []
    let value = 100
    const doctorWrites = (row: Note | Partial<Shared> | null) => edit(doctors, 'aligner_notes', key, row)
    const drainClinic = () => {
      const event = clinic.drain(key)
      if (event) toPortal.push(event)
    }
    const drainPortal = async () => {
      for (const change of (await portal.takeChanges(1000)).changes) {
        toClinic.push(change)
        const { table, version } = change
        await portal.settleChanges([{ table, key: change.key, version, outcome: 'queued' }])
      }
    }
    const deliver = async <T>(wire: T[], apply: (item: T) => unknown, again: number) => {
      const index = Math.floor(random() * wire.length)
      const item = wire[index]
      if (item === undefined) return
      if (random() >= again) wire.splice(index, 1)
      await apply(item)
    }
    const applyPortal = (item: ReturnType<typeof event>) => portal.applyChanges([item])
    const applyClinic = (change: Change) => clinic.apply(change)

    if (key > 0) clinic.write({ created_at: at(0), note_text: '0', edited_at: at(0) })
    else {
      const born = { aligner_set_id: 1, note_type: 'Doctor', is_edited: false, is_read: false, created_at: at(0) }
      await doctorWrites({ ...born, note_text: '0', edited_at: at(0) } as Note)
    }
    for (let step = 0; step < STEPS; step++) {
      const x = random()
      if (random() < 0.8) value++
      const column = (['created_at', 'note_text', 'edited_at'] as const)[Math.floor(random() * 3)] ?? 'note_text'
      const fresh = { [column]: column === 'note_text' ? String(value) : at(value) }
      if (x < 0.2) {
        if (clinic.row && !(apart && column !== 'created_at')) clinic.write({ ...clinic.row, ...fresh })
      } else if (x < 0.23) {
        if (apart) continue
        if (clinic.row) clinic.write(null)
        else if (clinic.queueId && random() < 0.3)
          clinic.write({ created_at: at(0), note_text: String(value), edited_at: at(0) })
      } else if (x < 0.38) {
        const row = await local(key)
        if (row && column !== 'created_at' && row[column] !== fresh[column]) {
          await doctorWrites(fresh)
          Object.assign(last, fresh)
        }
      } else if (x < 0.41) {
        if (!apart && (await local(key))) await doctorWrites(null)
      } else if (x < 0.55) drainClinic()
      else if (x < 0.7) await drainPortal()
      else if (x < 0.85) await deliver(toPortal, applyPortal, 0.2)
      else await deliver(toClinic, applyClinic, 0.2)
    }
    for (let quiet = 0; quiet < 200; quiet++) {
      drainClinic()
      await drainPortal()
      if (toPortal.length + toClinic.length === 0) break
      await deliver(toPortal, applyPortal, 0)
      await deliver(toClinic, applyClinic, 0)
    }
    t.equal(toPortal.length + toClinic.length, 0, `round ${round}: quiet`)
    const expected: Row | null = clinic.row && note(key, clinic.row)
    t.same(await local(key), expected, `round ${round}: equal`)
    if (apart) t.match(expected, last, `round ${round}: no edit lost`)
  }
})

/** Mulberry32: the same schedules at every run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
