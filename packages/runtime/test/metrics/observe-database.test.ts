import { DatabaseError, type Observer, type Taken } from '@clinic-sync/sync'
import t from 'tap'
import { observeDatabase } from '../../src/index.ts'

const nothing: Taken = { changes: [], rows: 0, locked: 0 }

/** Notes what it is told. */
function notes() {
  const told: unknown[] = []
  const observer: Observer = {
    databaseFailed: (side, failure) => told.push(`${side} ${failure}`),
    taken: (_side, taken) => told.push(taken),
  }
  return { told, observer }
}

t.test('calls give what they gave, and `this` is the database', async (t) => {
  class Database {
    readonly side = 'clinic' as const
    #rows = 7
    takeChanges = async (max: number) => ({ ...nothing, rows: Math.min(max, this.#rows) })
    async settleChanges(settlements: readonly string[]) {
      this.#rows -= settlements.length
    }
    left() {
      return this.#rows
    }
  }
  const { told, observer } = notes()
  const database = observeDatabase('clinic', new Database(), observer)
  t.equal(database.side, 'clinic')
  t.strictSame(await database.takeChanges(3), { ...nothing, rows: 3 })
  await database.settleChanges(['a', 'b'])
  t.equal(database.left(), 5)
  t.strictSame(told, [{ ...nothing, rows: 3 }])
})

t.test("a failure is the database's own, and told by its class; others are told to nobody", async (t) => {
  const down = new DatabaseError('down', 'gone')
  const aborted = new DOMException('stop', 'AbortError')
  const { told, observer } = notes()
  const fake = {
    takeChanges: () => Promise.reject(down),
    applyChanges: (): Promise<never> => {
      throw new DatabaseError('permanent', 'refused')
    },
    waitForChanges: () => Promise.reject(aborted),
    check: () => Promise.reject(new DatabaseError('transient', 'busy')),
  }
  const database = observeDatabase('portal', fake, observer)
  t.equal(await database.takeChanges().catch((error: unknown) => error), down)
  await t.rejects(database.applyChanges(), { message: 'refused' })
  t.equal(await database.waitForChanges().catch((error: unknown) => error), aborted)
  await t.rejects(database.check(), { message: 'busy' })
  t.strictSame(told, ['portal down', null, 'portal permanent', 'portal transient'])
})
