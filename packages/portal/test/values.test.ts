import type { SyncEvent } from '@clinic-sync/contracts'
import type { Column } from '@clinic-sync/mapping'
import { storable } from '@clinic-sync/sync'
import t from 'tap'
import { wireObject } from '../../mapping/src/postgres/common.ts'
import { instantLiteral } from '../src/wire.ts'
import { batch, bench, event, note, parents, patient, rowOf, set, work } from './help.ts'

const db = await bench()
t.teardown(() => db.close())
const { portal } = db
const apply = (...events: SyncEvent[]) => portal.applyChanges(events)
await apply(...parents())
let keys = 100

t.test('texts arrive as they are', async (t) => {
  const texts = [
    '',
    ' ',
    'trailing blanks   ',
    '\ttab\r\nline\u2028',
    'O\'Brien "quoted" \\ backslash \\u0041 \\n $1 $$ %s --',
    'مريض عنده تقويم ‏شفاف‎',
    '😀👩‍⚕️🦷 𝒳 e\u0301',
    '\u0001\u001f\u007f\uffff\ufffe',
    '{"a":[1,null]}',
    'null',
    'x'.repeat(10_000),
    '😀é'.repeat(700_000),
  ]
  for (const text of texts) {
    const key = ++keys
    await apply(event('aligner_notes', key, note(key, { note_text: text })))
    const back = (await rowOf(portal, 'aligner_notes', key))?.note_text
    t.ok(back === text, `text ${key - 100}, ${text.length} units`)
  }
  const key = ++keys
  const full = { patient_name: '😀'.repeat(255), first_name: '', last_name: null, phone: ' '.repeat(255) }
  await apply(event('patients', key, patient(key, full)))
  t.same(
    await rowOf(portal, 'patients', key),
    patient(key, full),
    'empty is not null; 255 characters of two units each',
  )
})

t.test('what Postgres cannot store is left out, and said once, without the text', async (t) => {
  const [key, other] = [++keys, ++keys]
  await apply(event('aligner_notes', key, note(key, { note_text: 'sec\0ret\0' })))
  await apply(event('aligner_notes', other, note(other, { note_text: 'cut \ud83d' })))
  t.equal((await rowOf(portal, 'aligner_notes', key))?.note_text, 'secret')
  t.equal((await rowOf(portal, 'aligner_notes', other))?.note_text, 'cut \ufffd')
  t.same(
    await apply(event('aligner_notes', key, note(key, { note_text: 'sec\0ret\0' }))).then(([o]) => o?.outcome),
    'unchanged',
  )
  t.equal(db.log.lines.length, 1)
  t.match(db.log.lines[0], /"table":"aligner_notes","key":\d+,"column":"note_text"/)
  t.notMatch(db.log.lines[0], /ret/)
  t.equal(storable('a\0b\udc00c😀'), 'ab\ufffdc😀')
})

t.test('dates', async (t) => {
  for (const date of ['0001-01-01', '1753-01-01', '1899-12-31', '2024-02-29', '9999-12-31', null]) {
    const key = ++keys
    const row = batch(key, { manufacture_date: date, delivered_to_patient_date: date, batch_expiry_date: date })
    await apply(event('aligner_batches', key, row))
    t.same(await rowOf(portal, 'aligner_batches', key), row, String(date))
  }
})

t.test('instants', async (t) => {
  const instants = [
    '0000-12-31T21:00:00.000Z',
    '-000001-06-15T12:34:56.789Z',
    '0001-01-01T00:00:00.000Z',
    '1752-12-31T21:00:00.003Z',
    '1899-12-31T23:59:59.997Z',
    '1969-12-31T23:59:59.999Z',
    '1970-01-01T00:00:00.000Z',
    '2026-01-31T08:15:30.123Z',
    '9999-12-31T23:59:59.999Z',
    '+010000-01-01T02:59:59.997Z',
    '+010000-12-31T23:59:59.001Z',
  ]
  for (const instant of instants) {
    const key = ++keys
    const row = note(key, { created_at: instant, edited_at: instant })
    await apply(event('aligner_notes', key, row))
    t.same(await rowOf(portal, 'aligner_notes', key), row, instant)
    t.match(await apply(event('aligner_notes', key, row)), [{ outcome: 'unchanged' }])
  }
  t.equal(instantLiteral('0000-12-31T21:00:00.000Z'), '0001-12-31T21:00:00.000Z BC')
  t.equal(instantLiteral('yesterday'), undefined)
  const key = ++keys
  await apply(event('patients', key, patient(key)), event('work', key, work(key, { addition_date: null })))
  t.same(await rowOf(portal, 'work', key), work(key, { addition_date: null }))
})

t.test('numbers and flags', async (t) => {
  for (const cost of ['99999999.99', '-99999999.99', '0.00', '0.01', '-0.01', null]) {
    const key = ++keys
    const row = set(key, {
      set_cost: cost,
      days: cost === null ? null : 2147483647,
      is_active: cost === null ? null : false,
    })
    await apply(event('aligner_sets', key, row))
    t.same(await rowOf(portal, 'aligner_sets', key), row, String(cost))
  }
  for (const key of [-2147483648, -1, 0, 2147483647]) {
    await apply(event('aligner_notes', key, note(key, { is_edited: null, is_read: true })))
  }
  const pages = await portal.readRows('aligner_notes', null, 2)
  t.same(
    pages.map(({ key }) => key),
    [-2147483648, -1],
  )
  t.equal((await portal.readRows('aligner_notes', 2147483646, 10)).length, 1)
  t.same(await portal.readRows('aligner_notes', 2147483647, 10), [])
})

t.test('types that no table has yet: bigint, and decimals beyond 2^53, in and out as digits', async (t) => {
  const columns = [
    { name: 'b', type: 'bigint' },
    { name: 'd', type: 'decimal' },
  ] as Column[]
  const text = `SELECT ${wireObject('t', columns)}::text AS row FROM jsonb_to_record($1) AS t (b bigint, d numeric(38,10))`
  for (const values of [
    { b: '9007199254740993', d: '9007199254740993.0000000001' },
    { b: '-9223372036854775808', d: '-9999999999999999999999999999.9999999999' },
    { b: '9223372036854775807', d: '0.0000000000' },
    { b: null, d: null },
  ]) {
    const [row] = await db.rows(text, [JSON.stringify(values)])
    t.same(JSON.parse(row?.row ?? ''), values)
  }
})

t.test('versions beyond 2^53', async (t) => {
  const key = ++keys
  const at = (version: string, text: string) => {
    const made = event('aligner_notes', key, note(key, { note_text: text }))
    return { ...made, data: { ...made.data, version } } as SyncEvent
  }
  t.match(await apply(at('9223372036854775806', 'a')), [{ outcome: 'applied', version: '9223372036854775806' }])
  t.match(await apply(at('9223372036854775807', 'b')), [{ outcome: 'applied' }])
  t.match(await apply(at('9223372036854775806', 'c')), [{ outcome: 'stale' }])
})
