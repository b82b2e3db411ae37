import type { Key, Row, Value } from '@clinic-sync/contracts'
import { type TableName, tableNamed, tables } from '@clinic-sync/mapping'
import type { Operation, Side, Step, Wanted } from '../schedule/schedule.ts'
import type { Subject } from '../schedule/subjects.ts'
import { agreed, columnNamed } from '../schedule/values.ts'
import { type Entry, type Ledger, recordOf } from './ledger.ts'
import { Refused, type Session } from './session.ts'

/** What became of a transaction. `refused`: what it needed was gone, or there already. */
export type Ending = 'committed' | 'rolled back' | 'refused' | 'nothing to do'

/** A transaction under way: what it has locked, and what it will have changed if it is committed. */
interface Work {
  readonly held: ReadonlyMap<string, Row | null>
  readonly entries: Entry[]
  readonly made: { readonly subject: Subject; readonly key: Key }[]
}

/** A person at work: does the schedule's transactions one after the other, and enters in the ledger what was committed. */
export class Worker {
  readonly side: Side
  readonly #session: Session
  readonly #ledger: Ledger

  constructor(side: Side, session: Session, ledger: Ledger) {
    this.side = side
    this.#session = session
    this.#ledger = ledger
  }

  /**
   * Does one transaction.
   *
   * @param pause waits for so many milliseconds
   * @throws the driver's error, when the database refused what it should have taken; everything is rolled back then.
   */
  async do(step: Step, pause: (ms: number) => Promise<unknown>): Promise<Ending> {
    const session = this.#session
    await session.begin()
    try {
      const work: Work = { held: await this.#hold(step.operations), entries: [], made: [] }
      for (const operation of step.operations) await this.#operate(operation, work)
      if (step.holdMs > 0) await pause(step.holdMs)
      if (step.end === 'rollback' || work.entries.length === 0) {
        await session.rollback()
        return step.end === 'rollback' ? 'rolled back' : 'nothing to do'
      }
      await session.commit()
      for (const { subject, key } of work.made) this.#ledger.name(subject, key)
      this.#ledger.write(work.entries)
      return 'committed'
    } catch (error) {
      await session.rollback()
      if (error instanceof Refused) return 'refused'
      throw error
    }
  }

  /**
   * Locks every record that the transaction touches before it changes one, all people in the same order, so that they never wait
   * for one another in a circle: where a deadlock comes up, the sync has had a part in it.
   */
  async #hold(operations: readonly Operation[]): Promise<Map<string, Row | null>> {
    const wanted = new Map<string, { table: TableName; key: Key }>()
    const want = (table: TableName, key: Key | undefined) => {
      if (key !== undefined) wanted.set(recordOf({ table, key }), { table, key })
    }
    for (const operation of operations) {
      const { subject } = operation
      want(subject.table, this.#ledger.keyOf(subject.name))
      // A new row's reference is checked under its parent's lock. Doctors cannot lock a set.
      if (operation.do === 'insert' && subject.set !== null && this.side === 'staff')
        want('aligner_sets', this.#ledger.keyOf(subject.set))
    }
    const held = new Map<string, Row | null>()
    const sorted = [...wanted.values()].sort((a, b) => placeOf(a.table) - placeOf(b.table) || a.key - b.key)
    for (const { table, key } of sorted) held.set(recordOf({ table, key }), await this.#session.hold(table, key))
    return held
  }

  async #operate(operation: Operation, work: Work): Promise<void> {
    const { subject } = operation
    const { table } = subject
    const key = this.#ledger.keyOf(subject.name)
    const row = key === undefined ? null : (work.held.get(recordOf({ table, key })) ?? null)
    if (operation.do === 'insert') {
      if (row === null) await this.#insert(operation, key ?? null, work)
      return
    }
    if (key === undefined || row === null) return
    switch (operation.do) {
      case 'update':
        return this.#update(operation, key, row, work)
      case 'delete':
        for (const gone of await this.#session.remove(table, key))
          this.#enter(work, gone.table, gone.key, 'delete', gone.row, null)
        return
      case 'pay':
        await this.#session.pay(key, operation.amount)
        this.#enter(work, table, key, 'update', {}, {})
    }
  }

  async #insert(operation: Operation & { do: 'insert' }, key: Key | null, work: Work): Promise<void> {
    const { subject } = operation
    // What a doctor has deleted, the clinic gives back; only the clinic brings a record back under its key.
    if (key !== null && this.side === 'doctors') return
    const references = this.#references(subject)
    if (references === null) return
    const row = { ...operation.row, ...references }
    const made = await this.#session.insert(subject.table, key, row)
    work.made.push({ subject, key: made })
    this.#enter(work, subject.table, made, 'insert', null, row)
  }

  /** The keys that a new row refers to; null: one of these records has not been made. */
  #references({ table, set }: Subject): Row | null {
    const row: Row = {}
    for (const { column, table: parent } of tableNamed(table).parents) {
      const name = parent === 'aligner_sets' ? set : ONLY[parent]
      const key = name ? this.#ledger.keyOf(name) : undefined
      if (key === undefined) return null
      row[column] = key
    }
    return row
  }

  async #update(operation: Operation & { do: 'update' }, key: Key, row: Row, work: Work): Promise<void> {
    const { table } = operation.subject
    const changes: Row = {}
    for (const [column, wanted] of Object.entries(operation.set))
      changes[column] = this.#valueOf(wanted, { table, key }, column, row[column] ?? null)
    await this.#session.update(table, key, changes)
    const changed = Object.keys(changes).filter((name) => {
      const column = columnNamed(table, name)
      return agreed(column, changes[name] ?? null) !== agreed(column, row[name] ?? null)
    })
    if (changed.length === 0) return
    const only = (values: Row): Row => Object.fromEntries(changed.map((column) => [column, values[column] ?? null]))
    this.#enter(work, table, key, 'update', only(row), only(changes))
  }

  #valueOf(wanted: Wanted, record: { table: TableName; key: Key }, name: string, now: Value): Value {
    if ('value' in wanted) return wanted.value
    if ('old' in wanted) {
      const old = this.#ledger.oldValue(recordOf(record), name, wanted.old) ?? now
      // What staff wrote may hold what Postgres cannot store.
      return typeof old === 'string' && this.side === 'doctors' ? old.replaceAll('\u0000', '') : old
    }
    const column = columnNamed(record.table, name)
    return typeof now === 'string' && column.type === 'text' ? nudged(now, wanted.nudge) : now
  }

  #enter(work: Work, table: TableName, key: Key, kind: Entry['kind'], before: Row | null, after: Row | null): void {
    work.entries.push({
      side: this.side,
      table,
      key,
      kind,
      before,
      after,
      order: this.#ledger.next(),
      at: performance.now(),
    })
  }
}

/** The names of those records that the schedule has one of. */
/** Parents before children. */
const placeOf = (table: TableName): number => tables.findIndex(({ name }) => name === table)

const ONLY: Partial<Record<TableName, string>> = { aligner_doctors: 'doctor', patients: 'patient', work: 'work' }

/** A change that a careless comparison takes for none. The text grows no longer, since its column may be full. */
function nudged(text: string, how: 'blank' | 'case' | 'nothing'): string {
  if (how === 'nothing') return text
  if (how === 'blank') return text.endsWith(' ') ? text.slice(0, -1) : text.replace(/.$/su, ' ')
  const lower = text.toLowerCase()
  const other = lower === text ? text.toUpperCase() : lower
  return other.length === text.length ? other : text
}
