// Which rows of the clinic's outbox are asked for, by the version of the database.
import { DatabaseError } from '@clinic-sync/sync'
import t from 'tap'
import type { Inputs, Pool } from '../src/pool.ts'
import { taking } from '../src/taking.ts'
import { openZone } from '../src/zone.ts'

const zone = openZone('Asia/Baghdad')

/** A database whose `sync.TakeChanges` has the parameter, or has not. */
function database(has: { canary: boolean }, number = '8144') {
  const asked: string[] = []
  const execute = async (_: string, inputs: Inputs) => {
    asked.push(Object.keys(inputs).join(' '))
    if (inputs.Canary !== undefined && !has.canary)
      throw new DatabaseError('down', 'a procedure takes fewer parameters', { number })
    const totals = { Rows: 0, Locked: 0, Last: null, ...(has.canary && { TakesCanary: true }) }
    return [[], [totals]] as unknown as Awaited<ReturnType<Pool['execute']>>
  }
  return { asked, take: taking({ execute } as unknown as Pool, zone) }
}

t.test('the canary is asked for', async (t) => {
  const { asked, take } = database({ canary: true })
  await take(10)
  await take(10, '7')
  t.strictSame(asked, ['Max Canary', 'Max After Canary'])
})

for (const number of ['8144', '8145'])
  t.test(
    `a database of the version before (${number}) is asked without, from then on; once it is migrated, with`,
    async (t) => {
      const has = { canary: false }
      const { asked, take } = database(has, number)
      await take(10)
      await take(10)
      t.strictSame(asked, ['Max Canary', 'Max', 'Max'])
      has.canary = true
      await take(10)
      await take(10)
      t.strictSame(asked.slice(3), ['Max', 'Max Canary'])
    },
  )

t.test('any other error is an error', async (t) => {
  const { take } = database({ canary: false }, '1222')
  await t.rejects(take(10), DatabaseError)
})
