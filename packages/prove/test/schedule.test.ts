import { createHash } from 'node:crypto'
import { tableNamed } from '@clinic-sync/mapping'
import t from 'tap'
import { copiesOf, doorbellsOf, faults, isDropped } from '../src/schedule/faults.ts'
import { cures, type Operation, schedule, type Side, SPOILED, type Step } from '../src/schedule/schedule.ts'
import { editorsOf, firstSubjects } from '../src/schedule/subjects.ts'
import { columnNamed } from '../src/schedule/values.ts'

const EXTENT = { sets: 6, batchesPerSet: 3, notesPerSet: 4 }

/** The first `count` things of a generator. */
function take<T>(generator: Generator<T>, count: number): T[] {
  const taken: T[] = []
  for (const thing of generator) {
    taken.push(thing)
    if (taken.length === count) break
  }
  return taken
}

/** Megabytes of text are compared by this. */
const digest = (thing: unknown) => createHash('sha256').update(JSON.stringify(thing)).digest('hex')

const stepsOf = (seed: number, side: Side, number: number) => take(schedule(seed, EXTENT, { side, number }), 2_000)

const operationsOf = (steps: readonly Step[]): readonly Operation[] => steps.flatMap(({ operations }) => operations)

t.test('the seed decides everything: what is edited, what goes wrong, what is delivered again', async (t) => {
  const all = (seed: number): Record<string, string> => ({
    first: digest(firstSubjects(seed, EXTENT)),
    staff: digest(stepsOf(seed, 'staff', 1)),
    doctors: digest(stepsOf(seed, 'doctors', 2)),
    faults: digest(take(faults(seed), 500)),
    copies: digest(Array.from({ length: 500 }, (_, n) => copiesOf(seed, n))),
    dropped: digest(Array.from({ length: 500 }, (_, n) => isDropped(seed, n))),
    doorbells: digest(Array.from({ length: 50 }, (_, n) => doorbellsOf(seed, n, true))),
  })
  const one = all(1)
  t.strictSame(all(1), one)
  for (const [name, value] of Object.entries(all(2))) t.not(value, one[name], `another seed, another choice of ${name}`)
})

t.test('each person does something else', async (t) => {
  t.not(digest(stepsOf(1, 'staff', 1)), digest(stepsOf(1, 'staff', 2)))
})

t.test('every kind of edit and of end is in it', async (t) => {
  const staff = stepsOf(3, 'staff', 1)
  const doctors = stepsOf(3, 'doctors', 1)
  for (const [side, steps] of Object.entries({ staff, doctors })) {
    t.ok(
      steps.some(({ operations }) => operations.length > 2),
      `several rows in one transaction by ${side}`,
    )
    t.ok(
      steps.some(({ end }) => end === 'rollback'),
      `transactions rolled back by ${side}`,
    )
    t.ok(
      steps.some(({ holdMs }) => holdMs > 1_000),
      `transactions left open by ${side}`,
    )
  }
  const byStaff = operationsOf(staff)
  const byDoctors = operationsOf(doctors)
  const kinds = (operations: readonly Operation[]) => [...new Set(operations.map((operation) => operation.do))].sort()
  t.strictSame(kinds(byStaff), ['delete', 'insert', 'pay', 'update'])
  t.strictSame(kinds(byDoctors), ['delete', 'insert', 'update'])
  const wanted = [...byStaff, ...byDoctors].flatMap((operation) =>
    operation.do === 'update' ? Object.values(operation.set) : [],
  )
  const texts = wanted.flatMap((one) => ('value' in one && typeof one.value === 'string' ? [one.value] : []))
  t.ok(
    wanted.some((one) => 'old' in one),
    'back to old values',
  )
  t.ok(
    wanted.some((one) => 'nudge' in one),
    'changes of case and blanks only',
  )
  t.ok(
    texts.some((text) => text.length > 4_000),
    'texts that JSON_VALUE would cut',
  )
  t.ok(
    texts.some((text) => text.endsWith(' ')),
    'trailing blanks',
  )
  t.ok(
    texts.some((text) => text.includes('🦷')),
    'emoji',
  )
  t.ok(
    texts.some((text) => /[\u0600-\u06ff]/.test(text)),
    'Arabic',
  )
  t.ok(texts.includes(SPOILED), 'what the clinic cannot take')
  t.notOk(JSON.stringify(byDoctors).includes('\\u0000'), 'but doctors write nothing that Postgres cannot store')
})

t.test('nobody edits a column that is another side’s, but for doctors who do so on purpose', async (t) => {
  for (const side of ['staff', 'doctors'] as const) {
    for (const operation of operationsOf(stepsOf(4, side, 1))) {
      if (operation.do !== 'update') continue
      for (const name of Object.keys(operation.set)) {
        const editors = editorsOf(4, operation.subject, columnNamed(operation.subject.table, name))
        const trespass = side === 'doctors' && editors === 'staff'
        if (!trespass && editors !== 'both' && editors !== side) t.fail(`${operation.subject.name} ${name}`)
      }
    }
  }
})

t.test('values fit their columns', async (t) => {
  for (const operation of operationsOf([...stepsOf(5, 'staff', 1), ...stepsOf(5, 'doctors', 1)])) {
    const values =
      operation.do === 'insert'
        ? Object.entries(operation.row)
        : operation.do === 'update'
          ? Object.entries(operation.set).flatMap(([name, one]) => ('value' in one ? [[name, one.value] as const] : []))
          : []
    for (const [name, value] of values) {
      const column = tableNamed(operation.subject.table).columns.find((candidate) => candidate.name === name)
      const limit = Number(/\((\d+)\)/.exec(column?.clinicType ?? '')?.[1] ?? Number.POSITIVE_INFINITY)
      if (column?.notNull && value === null) t.fail(`${name} must not be null`)
      if (typeof value === 'string' && column?.type === 'text' && value.length > limit) t.fail(`${name} is too long`)
    }
  }
})

t.test('what is spoiled is cured at the end', async (t) => {
  const spoiled = firstSubjects(6, EXTENT).filter(({ fate }) => fate === 'spoiled')
  t.not(spoiled.length, 0)
  t.strictSame(
    operationsOf(cures(firstSubjects(6, EXTENT))).map(({ subject }) => subject),
    spoiled,
  )
})
