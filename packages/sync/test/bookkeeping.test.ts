import t from 'tap'
import { type Bookkeeping, type Comparable, Connections, findRestored } from '../src/index.ts'

const KNOWN: Bookkeeping = {
  lastId: '100',
  seen: '50',
  held: null,
  lowestKey: null,
  latest: [],
  applied: [],
  open: [],
  born: [],
}
const RECORD = { table: 'aligner_notes', key: 7 } as const

/** A side that has settled a version of a record, and of the other side's what `applied` says, call by call, of those asked for. */
function side(latest: Bookkeeping['latest'], applied: string[] = []): Comparable {
  const { counts } = new Connections()
  return {
    connections: () => counts,
    bookkeeping: (records) =>
      Promise.resolve(
        records.length === 0 ? { ...KNOWN, latest } : { ...KNOWN, applied: records.map(() => applied.shift() ?? '0') },
      ),
    hold: () => Promise.resolve(),
  }
}

const told = side([{ ...RECORD, version: '40' }])

t.test('who lacks what it had applied has gone back', async (t) => {
  const { restored } = await findRestored({ clinic: side([], ['0', '39']), portal: told })
  t.match(restored, [
    { side: 'clinic', why: 'lacks a change that it had applied, such as version 40 of aligner_notes/7' },
  ])
})

t.test('what is missed at one look, past the locks of who writes, and there at the next, is there', async (t) => {
  const { restored } = await findRestored({ clinic: side([], ['0', '40']), portal: told })
  t.strictSame(restored, [])
})
