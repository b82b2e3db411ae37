import type { Value } from '@clinic-sync/contracts'
import type { Random } from '@clinic-sync/demo'
import type { Column } from '@clinic-sync/mapping'
import { stream, weighted } from './streams.ts'
import { batchOf, editorsOf, type Extent, firstSubjects, isShared, noteOf, type Subject } from './subjects.ts'
import { columnsOf, firstRow, valueFor } from './values.ts'

export type Side = 'staff' | 'doctors'

/**
 * What a column is to become. `old`: a value that it had, counted backwards (what it is then depends on the run). `nudge`: what it is
 * now, but for a blank at its end or the case of its letters, or not changed at all.
 */
export type Wanted =
  | { readonly value: Value }
  | { readonly old: number }
  | { readonly nudge: 'blank' | 'case' | 'nothing' }

export type Operation =
  | { readonly do: 'update'; readonly subject: Subject; readonly set: Readonly<Record<string, Wanted>> }
  /** A new record, or a deleted one that comes back under its key. */
  | { readonly do: 'insert'; readonly subject: Subject; readonly row: Readonly<Record<string, Value>> }
  /** Of a set: with all that is in it. */
  | { readonly do: 'delete'; readonly subject: Subject }
  /** A payment, in whole units of the set's currency. */
  | { readonly do: 'pay'; readonly subject: Subject; readonly amount: number }

/** One transaction of one person. Times in milliseconds. */
export interface Step {
  /** Before it begins. */
  readonly pauseMs: number
  readonly operations: readonly Operation[]
  /** Between its last statement and its end. */
  readonly holdMs: number
  readonly end: 'commit' | 'rollback'
}

export interface Person {
  readonly side: Side
  /** Counts from 1. */
  readonly number: number
}

/** How much time passes between the steps, on average; in milliseconds. */
const PAUSE_MS = 40

/**
 * Everything that a person will ever do, in order: the seed alone decides it. How far they get is a matter of time, and so is
 * what they find there.
 */
export function* schedule(seed: number, extent: Extent, person: Person): Generator<Step, never> {
  const random = stream(seed, person.side, person.number)
  const first = firstSubjects(seed, extent)
  const hand = new Hand(seed, random, person, first)
  for (let turn = 1; ; turn++) {
    const operations = hand.operations(turn)
    yield {
      pauseMs: random.chance(0.03) ? random.int(500, 2_000) : random.int(0, PAUSE_MS * 2),
      operations,
      holdMs: random.chance(0.03) ? random.int(300, 2_500) : 0,
      end: random.chance(0.08) ? 'rollback' : 'commit',
    }
  }
}

class Hand {
  readonly #seed: number
  readonly #random: Random
  readonly #person: Person
  readonly #first: readonly Subject[]
  readonly #sets: readonly Subject[]
  #turn = 0

  constructor(seed: number, random: Random, person: Person, first: readonly Subject[]) {
    this.#seed = seed
    this.#random = random
    this.#person = person
    // What both sides edit comes first: the earlier, the more often it is picked.
    this.#first = first.toSorted((a, b) => Number(a.set === null) - Number(b.set === null))
    this.#sets = first.filter(({ table }) => table === 'aligner_sets')
  }

  /** No record twice in one transaction. */
  operations(turn: number): Operation[] {
    this.#turn = turn
    // A set goes seldom, and alone: what is in it goes with it.
    if (this.#person.side === 'staff' && turn % 45 === 30) return [this.#delete(this.#mortalSet())].filter(isSomething)
    const count = this.#random.chance(0.2) ? this.#random.int(2, 5) : 1
    const operations = new Map<string, Operation>()
    for (let i = 0; i < count; i++) {
      const operation = this.#operation(i)
      if (operation !== null) operations.set(operation.subject.name, operation)
    }
    return [...operations.values()]
  }

  #operation(i: number): Operation | null {
    return this.#person.side === 'staff' ? this.#byStaff(i) : this.#byDoctor(i)
  }

  #byStaff(i: number): Operation | null {
    return weighted<() => Operation | null>(this.#random, [
      [70, () => this.#update(this.#anyone(() => true))],
      [6, () => this.#insertNote(`note staff ${this.#person.number}.${this.#turn}.${i}`)],
      [2, () => this.#insertBatch(i)],
      [5, () => this.#delete(this.#anyone(({ fate, table }) => fate === 'mortal' && table !== 'aligner_sets'))],
      [6, () => this.#revive(this.#anyone(({ fate }) => fate === 'mortal'))],
      [3, () => ({ do: 'pay', subject: this.#random.pick(this.#sets), amount: this.#random.int(1, 500) })],
    ])()
  }

  #byDoctor(i: number): Operation | null {
    const theirs = ({ table }: Subject) => table === 'aligner_notes' || table === 'aligner_batches'
    return weighted<() => Operation | null>(this.#random, [
      [75, () => this.#update(this.#anyone(theirs))],
      [12, () => this.#insertNote(`note doctors ${this.#person.number}.${this.#turn}.${i}`)],
      [5, () => this.#delete(this.#anyone((subject) => theirs(subject) && subject.fate === 'erased'))],
      [5, () => this.#trespass(this.#anyone(theirs))],
      [3, () => this.#spoil(this.#anyone(({ fate }) => fate === 'spoiled'))],
    ])()
  }

  /** One of the first records, or of those that somebody may have made since. Some are picked often: so that people meet. */
  #anyone(fits: (subject: Subject) => boolean): Subject | null {
    const random = this.#random
    if (random.chance(0.15)) {
      const newcomer = this.#newcomer()
      return fits(newcomer) ? newcomer : null
    }
    const fitting = this.#first.filter(fits)
    const at = () => random.int(0, fitting.length - 1)
    return fitting[Math.min(at(), at(), at())] ?? null
  }

  /** A note by the name that another step gives it, if it is ever made. */
  #newcomer(): Subject {
    const random = this.#random
    const side = random.pick(['staff', 'doctors'] as const)
    return this.#note(`note ${side} ${random.int(1, 2)}.${random.int(Math.max(1, this.#turn - 60), this.#turn)}.0`)
  }

  /** The set that a note is put in is decided by its name: whoever names it knows it. */
  #note(name: string): Subject {
    const set = stream(this.#seed, 'set', name).pick(this.#sets)
    const note = noteOf(this.#seed, name, set.name, set.fate)
    // A doctor writes doctors' notes; what the lab writes is the clinic's.
    return name.startsWith('note doctors') ? { ...note, noteType: 'Doctor' } : note
  }

  #update(subject: Subject | null): Operation | null {
    if (subject === null) return null
    const random = this.#random
    const mine = columnsOf(subject.table).filter((column) => {
      const editors = editorsOf(this.#seed, subject, column)
      return editors === 'both' || editors === this.#person.side
    })
    if (mine.length === 0) return null
    const set: Record<string, Wanted> = {}
    for (let i = random.chance(0.25) ? 2 : 1; i > 0; i--) {
      const column = random.pick(mine)
      set[column.name] = weighted<() => Wanted>(random, [
        [16, () => ({ value: this.#value(column) })],
        [2, () => ({ old: random.int(1, 4) })],
        [1, () => ({ nudge: random.pick(['blank', 'case', 'nothing'] as const) })],
      ])()
    }
    return { do: 'update', subject, set }
  }

  #insertNote(name: string): Operation {
    const subject = this.#note(name)
    return { do: 'insert', subject, row: this.#row(subject) }
  }

  #insertBatch(i: number): Operation {
    const name = `batch staff ${this.#person.number}.${this.#turn}.${i}`
    const set = stream(this.#seed, 'set', name).pick(this.#sets)
    const subject = batchOf(this.#seed, name, set.name, set.fate)
    return { do: 'insert', subject, row: this.#row(subject) }
  }

  #revive(subject: Subject | null): Operation | null {
    return subject === null ? null : { do: 'insert', subject, row: this.#row(subject) }
  }

  #row(subject: Subject): Record<string, Value> {
    return firstRow(this.#seed, subject, this.#random, (column) => this.#value(column))
  }

  #value(column: Column): Value {
    const value = valueFor(this.#random, column, this.#tag())
    // Postgres cannot store U+0000, so a doctor cannot write it; the clinic can.
    const nul = this.#person.side === 'staff' && column.clinicType === 'nvarchar(max)' && this.#random.chance(0.04)
    return nul && value !== null ? `${String(value)}\u0000` : value
  }

  #delete(subject: Subject | null): Operation | null {
    return subject === null ? null : { do: 'delete', subject }
  }

  #mortalSet(): Subject | null {
    const mortal = this.#sets.filter(({ fate }) => fate === 'mortal')
    return mortal.length === 0 ? null : this.#random.pick(mortal)
  }

  /** A doctor edits what is the clinic's: it is captured, and the portal gets the clinic's value back. */
  #trespass(subject: Subject | null): Operation | null {
    if (subject === null) return null
    const random = this.#random
    const clinics = columnsOf(subject.table).filter((column) => !isShared(subject, column))
    if (clinics.length === 0) return null
    const column = random.pick(clinics)
    return { do: 'update', subject, set: { [column.name]: { value: this.#value(column) } } }
  }

  /** A time that the clinic's `datetime` cannot hold. */
  #spoil(subject: Subject | null): Operation | null {
    return subject === null ? null : { do: 'update', subject, set: { edited_at: { value: SPOILED } } }
  }

  #tag(): string {
    return `${this.#person.side}-${this.#person.number}-${this.#turn}`
  }
}

const isSomething = <T>(thing: T | null): thing is T => thing !== null

/** `datetime` begins in 1753. */
export const SPOILED = '1500-01-01T00:00:00.000Z'

/** What the spoiled records are given at the end, so that the clinic can take them. */
export function cures(subjects: readonly Subject[]): Step[] {
  return subjects
    .filter(({ fate }) => fate === 'spoiled')
    .map((subject) => ({
      pauseMs: 0,
      operations: [{ do: 'update', subject, set: { edited_at: { value: '2026-01-15T10:30:00.000Z' } } }],
      holdMs: 0,
      end: 'commit',
    }))
}
