import type { Row, SyncEvent } from '@clinic-sync/contracts'
import { openZone, toPortalChange, Unfit } from '@clinic-sync/clinic'
import t, { type Test } from 'tap'

const NOTE: Row = {
  note_id: -7,
  aligner_set_id: 3,
  note_type: 'Doctor',
  note_text: '  نص 🦷 ',
  created_at: '2026-01-31T05:15:30.120Z',
  is_edited: null,
  edited_at: null,
  is_read: true,
}
const BATCH: Row = {
  aligner_batch_id: 7,
  aligner_set_id: 3,
  batch_sequence: 1,
  upper_aligner_count: 3,
  lower_aligner_count: 2,
  upper_aligner_start_sequence: null,
  upper_aligner_end_sequence: null,
  lower_aligner_start_sequence: null,
  lower_aligner_end_sequence: null,
  manufacture_date: '2024-02-29',
  delivered_to_patient_date: null,
  days: 7,
  validity_period: 21,
  batch_expiry_date: null,
  notes: null,
  is_active: true,
}
const BASE: Row = { note_text: 'was', is_edited: false, edited_at: '2026-01-31T05:15:30.120Z', is_read: false }

function eventOf(data: Partial<SyncEvent['data']>, row: Row | null = NOTE): SyncEvent {
  const whole = { table: 'aligner_notes', key: -7, version: '9', seen: '0', since: '8', base: null, ...data, row }
  const id = `portal/${whole.table}/${whole.key}/9`
  const envelope = { specversion: '1.0', id, source: 'portal', subject: 'x', time: 'x' } as const
  const type = row === null ? 'sync.row.deleted.v1' : 'sync.row.upserted.v1'
  return { ...envelope, type, data: whole } as SyncEvent
}
const baghdad = openZone('Asia/Baghdad')
const convert = (data: Partial<SyncEvent['data']>, row?: Row | null, zone = baghdad) =>
  toPortalChange(eventOf(data, row), zone)
const batch = (more: Row) => convert({ table: 'aligner_batches', key: 7 }, { ...BATCH, ...more })

function refusal(t: Test, converting: () => unknown): string {
  try {
    converting()
  } catch (error) {
    if (error instanceof Unfit) return `${error.code} ${error.message}`
    throw error
  }
  t.fail('it was taken')
  return ''
}

t.test("instants become the clinic's wall clock, in base too; all else stays", async (t) => {
  t.strictSame(convert({ base: { ...BASE, more: 1 } }), {
    table: 'aligner_notes',
    key: -7,
    version: '9',
    since: '8',
    base: { ...BASE, edited_at: '2026-01-31T08:15:30.120' },
    row: { ...NOTE, created_at: '2026-01-31T08:15:30.120' },
  })
  t.strictSame(convert({ base: BASE }, null).row, null)
  t.strictSame(batch({}).row, BATCH)
})

t.test(
  'what the wall clock cannot give back is flagged: the second 02:30 of a night, less than a millisecond',
  async (t) => {
    const berlin = openZone('Europe/Berlin')
    const flag = (edited_at: string) => convert({}, { ...NOTE, edited_at }, berlin).inexact
    t.equal(flag('2026-10-25T00:30:00.000Z'), undefined)
    t.equal(flag('2026-10-25T01:30:00.000Z'), true)
    t.equal(flag('2026-10-25T00:30:00.000123Z'), true)
    t.equal(convert({ base: { ...BASE, edited_at: '2026-10-25T01:30:00.000Z' } }, NOTE, berlin).inexact, undefined)
  },
)

t.test('a value of another JSON type, or a column that is missing, is named with its record', async (t) => {
  for (const [wrong, reason] of [
    [{ note_text: 5 }, 'note_text: not a text'],
    [{ is_read: 1 }, 'is_read: not a boolean'],
    [{ aligner_set_id: '3' }, 'aligner_set_id: not an int'],
    [{ aligner_set_id: 3_000_000_000 }, 'aligner_set_id: outside -2147483648 to 2147483647'],
    [{ edited_at: 5 }, 'edited_at: not an instant'],
    [{ edited_at: '0770' }, 'edited_at: not an instant from the year 1 to 9999'],
    [{ created_at: '-000044-03-15T00:00:00.000Z' }, 'created_at: not an instant from the year 1 to 9999'],
    [{ created_at: '+010000-01-01T00:00:00.000Z' }, 'created_at: not an instant from the year 1 to 9999'],
    [{ note_id: -8 }, "note_id: not the event's key"],
    [{ note_id: null }, "note_id: not the event's key"],
  ] as const) {
    t.equal(
      refusal(t, () => convert({}, { ...NOTE, ...wrong })),
      `SYNC_BAD_VALUE aligner_notes/-7: ${reason}`,
    )
  }
  const { is_read: _, ...lacking } = NOTE
  t.match(
    refusal(t, () => convert({}, lacking)),
    'SYNC_BAD_VALUE aligner_notes/-7: is_read: missing in the event',
  )
  t.match(
    refusal(t, () => convert({ base: { is_read: true } })),
    'aligner_notes/-7: base: note_text: missing in the event',
  )
  t.match(
    refusal(t, () => convert({ base: { ...BASE, edited_at: 'x' } })),
    'base: edited_at: not an instant',
  )
})

t.test(
  "a time that is not the doctor's to change, in a row that the clinic has, is for the clinic to give back",
  async (t) => {
    for (const { key, base } of [
      { key: 7, base: null },
      { key: -7, base: BASE },
    ]) {
      const { row, inexact } = convert(
        { key, base },
        { ...NOTE, note_id: key, created_at: '+010000-01-01T00:00:00.000Z' },
      )
      t.match({ row, inexact }, { row: { created_at: null }, inexact: true })
      t.match(
        refusal(t, () => convert({ key, base }, { ...NOTE, edited_at: '0770' })),
        'edited_at: not an instant',
      )
    }
    for (const date of ['2026-02-30', '20000-01-01', '0000-01-01', '-0044-03-15', '0770'])
      t.match(batch({ manufacture_date: date }), { row: { manufacture_date: null }, inexact: true }, date)
  },
)

t.test('a table that does not sync back, or is none', async (t) => {
  for (const table of ['aligner_sets', 'aligner_set_payments', 'invoices']) {
    t.match(
      refusal(t, () => convert({ table })),
      new RegExp(`^SYNC_NOT_PORTALS ${table}: `),
    )
  }
})
