// Writers with open transactions against a drain: a portal that goes by versions alone ends up equal. Runs against the
// simulator, and against SQLSERVER_URL when it is set.
import type { Row } from '@clinic-sync/contracts'
import { TABLE_NAMES } from '@clinic-sync/mapping'
import t from 'tap'
import { openBench, settle } from './bench.ts'
import { randomFrom } from './random.ts'

const WRITERS = 3
const TRANSACTIONS = 25

const bench = await openBench(t)

t.test('whatever commits in whatever order, the highest versions are the last states', async (t) => {
  const { set: one } = await bench.treatment({ SetCost: 1000 })
  const { set: two } = await bench.treatment({ SetCost: 1000 })
  for (const set of [one, two]) {
    await bench.note(set)
    await bench.batch(set, { Days: 7 })
  }
  const invoices: (readonly [number, number])[] = []
  for (let writer = 0; writer < WRITERS; writer++)
    invoices.push([await bench.invoice(one, 1), await bench.invoice(two, 1)])
  // From here on everything is queued once more: the portal begins empty.
  await bench.clear()
  for (const table of TABLE_NAMES) await bench.clinic.backfillPage(table, 100, true)

  const seed = Date.now() % 1_000_000
  const portal = new Map<string, { version: bigint; row: Row | null }>()
  let writing = WRITERS

  const write = async (writer: number) => {
    const random = randomFrom(seed + writer)
    const session = await bench.session()
    for (let i = 0; i < TRANSACTIONS; i++) {
      await session.begin()
      // Each writer has its own rows, so that nobody waits for anybody; the sets' payments are computed from everybody's.
      for (let statements = 1 + random(3); statements > 0; statements--) {
        const amount = 1 + random(9)
        await session.run(
          `UPDATE dbo.tblInvoice SET Amountpaid = ${amount} WHERE invoiceID = ${invoices[writer]?.[random(2)]}`,
        )
        if (writer === 0)
          await session.run(`UPDATE dbo.tblAlignerNotes SET NoteText = N'${i}.${amount}' WHERE AlignerSetID = ${one}`)
        if (writer === 1)
          await session.run(`UPDATE dbo.tblAlignerBatches SET Days = ${amount} WHERE AlignerSetID = ${two}`)
      }
      await (random(4) === 0 ? session.rollback() : session.commit())
    }
    writing--
  }

  const drain = async () => {
    for (;;) {
      const last = writing === 0
      const { changes, rows, locked } = await bench.clinic.takeChanges(50)
      for (const { table, key, version, row } of changes) {
        const known = portal.get(`${table}/${key}`)
        if (known === undefined || BigInt(version) > known.version) {
          portal.set(`${table}/${key}`, { version: BigInt(version), row })
        }
      }
      await settle(bench.clinic, changes, 'applied')
      if (last && rows === 0 && locked === 0) return
    }
  }

  await Promise.all([drain(), ...Array.from({ length: WRITERS }, (_, writer) => write(writer))])
  for (const table of TABLE_NAMES) {
    for (const { key, row } of await bench.clinic.readRows(table, null, 1000)) {
      t.strictSame(portal.get(`${table}/${key}`)?.row, row, `${table}/${key}, seed ${seed}`)
    }
  }
  t.strictSame(await bench.run("SELECT QueueID FROM dbo.SyncQueue WHERE Status <> 'Synced'"), [])
})
