import { openZone, rowFrom } from '@clinic-sync/clinic'
import { tableNamed } from '@clinic-sync/mapping'
import t from 'tap'

const zone = openZone('Asia/Baghdad')
const notes = tableNamed('aligner_notes')
const note = {
  note_id: -1,
  aligner_set_id: 2147483647,
  note_type: 'Doctor',
  note_text: '',
  created_at: '2026-01-31 08:15:30.003',
  is_edited: null,
  edited_at: null,
  is_read: true,
}

t.test('values as they travel', async (t) => {
  t.strictSame(rowFrom(notes, JSON.stringify(note), zone), { ...note, created_at: '2026-01-31T05:15:30.003Z' })
  const payments = { aligner_set_id: 1, total_paid: '99999999.99', balance: '-0.10', payment_status: 'Paid' }
  t.strictSame(rowFrom(tableNamed('aligner_set_payments'), JSON.stringify(payments), zone), payments)
})

t.test('columns that the mapping does not know are left out', async (t) => {
  t.notOk('more' in rowFrom(notes, JSON.stringify({ ...note, more: 1 }), zone))
})

t.test(
  'a column that is missing or of another type means procedures of another version, and names no value',
  async (t) => {
    for (const wrong of [
      { note_text: undefined },
      { is_read: 1 },
      { note_id: '7' },
      { note_text: 0.5 },
      { edited_at: 5 },
    ]) {
      t.throws(() => rowFrom(notes, JSON.stringify({ ...note, ...wrong }), zone), {
        code: 'SYNC_NOT_MIGRATED',
        message: new RegExp(`column ${Object.keys(wrong)[0]} of aligner_notes`),
      })
    }
    t.throws(() => rowFrom(notes, JSON.stringify({ ...note, edited_at: '0770 SECRET' }), zone), {
      message: 'Column edited_at of aligner_notes holds no time that can be read.',
    })
  },
)
