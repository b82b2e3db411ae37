import type { SyncEvent } from '@clinic-sync/contracts'
import { openZone, toDatabaseError } from '@clinic-sync/clinic'
import t from 'tap'
import { applyChanges } from '../src/apply.ts'
import type { Pool } from '../src/pool.ts'

const zone = openZone('Asia/Baghdad')
const note = (key: number, more = {}) =>
  ({
    data: {
      table: 'aligner_notes',
      key,
      version: '9',
      seen: '0',
      since: '9',
      base: null,
      row: {
        note_id: key,
        aligner_set_id: 1,
        note_type: 'Doctor',
        note_text: 'x',
        created_at: null,
        is_edited: false,
        edited_at: null,
        is_read: false,
        ...more,
      },
    },
  }) as unknown as SyncEvent

/** A server that gives these answers, one a call: rows, or an error's number and text. */
function answering(...answers: readonly (readonly Record<string, unknown>[] | readonly [number, string])[]) {
  const calls: string[] = []
  const pool = {
    execute(procedure, { Changes }) {
      const answer = answers[calls.length]
      calls.push(String(Changes?.[1]))
      const [number, message] = answer ?? []
      return typeof number === 'number'
        ? Promise.reject(toDatabaseError(Object.assign(new Error(String(message)), { number }), procedure))
        : Promise.resolve([answer])
    },
    collect: () => Promise.reject(new Error('not used')),
    batch: () => Promise.reject(new Error('not used')),
    close: () => Promise.resolve(),
  } as Pool
  return { calls, apply: (...events: SyncEvent[]) => applyChanges(pool, zone, events) }
}

const applied = { Outcome: 'applied', Code: null, Reason: null }

t.test(
  'outcomes stand in the order of the events, whatever the order of the rows; what is unfit is not sent',
  async (t) => {
    const { calls, apply } = answering([
      { Ordinal: 2, Outcome: 'retry', Code: '1222', Reason: 'locked in the clinic' },
      { Ordinal: 1, ...applied },
    ])
    const outcomes = await apply(note(-1), note(-2, { is_read: 5 }), note(-3))
    t.strictSame(outcomes, [
      { table: 'aligner_notes', key: -1, version: '9', outcome: 'applied' },
      {
        table: 'aligner_notes',
        key: -2,
        version: '9',
        outcome: 'dead',
        code: 'SYNC_BAD_VALUE',
        reason: 'aligner_notes/-2: is_read: not a boolean',
      },
      { table: 'aligner_notes', key: -3, version: '9', outcome: 'retry', code: '1222', reason: 'locked in the clinic' },
    ])
    t.strictSame(
      calls.map((sent) => (JSON.parse(sent) as { key: number }[]).map(({ key }) => key)),
      [[-1, -3]],
    )
  },
)

t.test('nothing fit, nothing asked', async (t) => {
  const { calls, apply } = answering()
  t.match(await apply(note(-2, { is_read: 5 })), [{ outcome: 'dead' }])
  t.strictSame(await apply(), [])
  t.strictSame(calls, [])
})

t.test('what crossed is tried again at once, the same; not for ever', async (t) => {
  const fk =
    'The INSERT statement conflicted with the FOREIGN KEY constraint "FK". The conflict occurred in database "c", table "dbo.a".'
  const crossed = [
    [1205, ''],
    [2627, ''],
    [547, fk],
  ] as const
  const once = answering(...crossed, [{ Ordinal: 1, ...applied }])
  t.match(await once.apply(note(-1)), [{ outcome: 'applied' }])
  t.equal(new Set(once.calls).size, 1)
  const always = answering(...crossed, [1205, ''], [1205, ''])
  await t.rejects(always.apply(note(-1)), { failure: 'transient', code: 'SYNC_DATABASE' })
  t.equal(always.calls.length, 4)
})

t.test('what will not go away is not tried again', async (t) => {
  for (const answer of [
    [547, fkLike('CHECK')],
    [515, ''],
    [2812, ''],
    [1222, ''],
  ] as const) {
    const { calls, apply } = answering(answer)
    await t.rejects(apply(note(-1)))
    t.equal(calls.length, 1, `${answer[0]}`)
  }
})

t.test('a procedure of another version', async (t) => {
  for (const rows of [[], [{ Ordinal: 2, ...applied }], [{ Ordinal: 1, Outcome: 'done' }]])
    await t.rejects(answering(rows).apply(note(-1)), { code: 'SYNC_NOT_MIGRATED' })
})

function fkLike(kind: string): string {
  return `The UPDATE statement conflicted with the ${kind} constraint "C". The conflict occurred in database "c", table "dbo.a".`
}
