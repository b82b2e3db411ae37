import { setTimeout as delay } from 'node:timers/promises'
import { openClinic } from '@clinic-sync/clinic'
import { compareSides, connectClinic, type Difference, type Releasers } from '@clinic-sync/demo'
import { openPortal } from '@clinic-sync/portal'
import { createLogger } from '@clinic-sync/runtime'
import pg from 'pg'
import { Bells } from './chaos/bells.ts'
import { type Damage, wreak } from './chaos/chaos.ts'
import { openCopies } from './chaos/copies.ts'
import { Crew } from './chaos/crew.ts'
import { Books } from './end/books.ts'
import { historyOf } from './end/history.ts'
import { loops, NotQuiet, settled, untilQuiet } from './end/quiet.ts'
import { type Complaint, account } from './end/account.ts'
import { deadLetters, failedRows } from './end/failures.ts'
import { finalRows } from './end/rows.ts'
import { doctorError, openDoctor } from './people/doctors.ts'
import { Ledger } from './people/ledger.ts'
import { openStaff, staffError } from './people/staff.ts'
import { type Ending, Worker } from './people/worker.ts'
import { cures, type Person, schedule, type Side, type Step } from './schedule/schedule.ts'
import { type Extent, firstSubjects } from './schedule/subjects.ts'
import { firstRow, valueFor } from './schedule/values.ts'
import { stream } from './schedule/streams.ts'
import { openWorld, TIME_ZONE, type World } from './world.ts'

export interface ProveOptions {
  readonly seed: number
  /** How long people and faults are at work. */
  readonly ms: number
  readonly release: Releasers
  readonly say: (line: string) => void
  readonly yes?: boolean
  readonly env?: NodeJS.ProcessEnv
  readonly extent?: Extent
  /** People on each side. */
  readonly people?: number
  /** Load the demo's clinic beside the records that people edit. */
  readonly sample?: boolean
  /** How long to wait for quiet, and how long quiet is watched; milliseconds. */
  readonly patienceMs?: number
  readonly watchMs?: number
}

export interface Proof {
  readonly endings: Readonly<Record<Side, Readonly<Record<Ending, number>>>>
  readonly edits: Readonly<Record<Side, number>>
  readonly events: number
  readonly copies: number
  readonly rings: { readonly rung: number; readonly dropped: number }
  readonly damage: Damage['counts']
  readonly conflicts: number
  readonly lostEdits: number
  readonly deadLetters: number
  readonly rows: number
  readonly values: number
  readonly differences: readonly Difference[]
  readonly complaints: readonly Complaint[]
  /** What is wrong with the run as a whole. */
  readonly troubles: readonly string[]
  /** Records with outbox rows that stayed open. */
  readonly stuck: readonly string[]
  /** What happened to a record, a line each, without values. */
  history(record: string): readonly string[]
}

const EXTENT: Extent = { sets: 8, batchesPerSet: 3, notesPerSet: 5 }

/** Runs the whole proof. What it starts is handed to `release` at once. @throws Error in words for people */
export async function prove(options: ProveOptions): Promise<Proof> {
  const { seed, ms, release, say, extent = EXTENT, people = 3, patienceMs = 150_000, watchMs = 3_000 } = options
  const world = await openWorld({
    release,
    say,
    yes: options.yes ?? false,
    env: options.env ?? process.env,
    sample: options.sample ?? false,
  })
  const { addresses } = world
  const crew = await Crew.open({ seed, timeZone: TIME_ZONE, ...world })
  release.add('services', () => crew.close())
  await crew.everybodyUp()
  const copies = await openCopies(addresses.rabbit, seed)
  release.add('copies', () => copies.close())
  const books = await openBooks(world, release)
  const bells = new Bells(seed, crew)
  const ledger = new Ledger()
  const troubles: string[] = []
  const stuck: string[] = []

  say('Filling the clinic, and the portal from it …')
  const workers = await openWorkers(world, people, ledger, release)
  await fill(workers.staff[0], seed, extent)
  await settledFirst()

  say(`${people} of the staff and ${people} doctors at work, and things going wrong, for ${ms / 1_000} s …`)
  const start = performance.now()
  const over = AbortSignal.timeout(ms)
  const endings = { staff: noEndings(), doctors: noEndings() }
  const at = async (worker: Worker, person: Person) => {
    for (const step of schedule(seed, extent, person)) {
      await delay(step.pauseMs, undefined, { signal: over }).catch(() => undefined)
      if (over.aborted) return
      await perform(worker, step)
    }
  }
  async function perform(worker: Worker, step: Step): Promise<void> {
    try {
      const ending = await worker.do(step, (pause) => delay(pause, undefined, { signal: over }).catch(() => undefined))
      endings[worker.side][ending]++
      if (ending === 'committed') bells.ring(worker.side)
    } catch (error) {
      const known = worker.side === 'staff' ? staffError(error) : doctorError(error)
      troubles.push(`an edit by ${worker.side} failed: ${known}`)
    }
  }
  const atWork = (['staff', 'doctors'] as const).flatMap((side) =>
    workers[side].map((worker, i) => at(worker, { side, number: i + 1 })),
  )
  const [damage] = await Promise.all([wreak({ seed, crew, portalUrl: addresses.portal }, over), ...atWork])

  say('Everybody goes home. Waiting until it is quiet …')
  const [doctor] = workers.doctors
  if (doctor) for (const step of cures(firstSubjects(seed, extent))) await perform(doctor, step)
  await untilQuiet({ crew, bells, copies, books, patienceMs }).catch((error: unknown) => {
    troubles.push(String(error))
    if (error instanceof NotQuiet) stuck.push(...new Set(error.open.map(({ record }) => record)))
  })
  const loop = await loops(books, watchMs)
  if (loop !== null) troubles.push(`no end: ${loop}`)
  troubles.push(...crew.died)

  say('Comparing every row and column, and accounting for every edit …')
  const sides = await openSides(world, release)
  const comparisons = await compareSides(sides.clinic, sides.portal)
  const [conflicts, lost] = [await books.conflicts(), await books.lostEdits()]
  const rows = await finalRows(sides.portal)
  const dead = await deadLetters(copies, ledger)
  troubles.push(...dead.troubles, ...(await failedRows(books, ledger)))
  return {
    endings,
    edits: { staff: ledger.count('staff'), doctors: ledger.count('doctors') },
    events: copies.counts.events,
    copies: copies.counts.copies,
    rings: bells.counts,
    damage: damage.counts,
    conflicts: conflicts.length,
    lostEdits: lost.length,
    deadLetters: dead.count,
    rows: sum(comparisons.map(({ clinicRows }) => clinicRows)),
    values: sum(comparisons.map(({ values }) => values)),
    differences: comparisons.flatMap(({ differences }) => differences),
    complaints: account({ seed, ledger, rows, conflicts, lost, dead: dead.records }),
    troubles,
    stuck,
    history: (record) => historyOf(record, ledger, [...copies.happenings, ...damage.happenings], start),
  }

  /** Before anything goes wrong: the first filling must have arrived, or the doctors have nothing to do. */
  async function settledFirst(): Promise<void> {
    // It may be an ingress that hears by HTTP only.
    await bells.trigger()
    await settled({ copies, books, patienceMs })
  }
}

const noEndings = (): Record<Ending, number> => ({ committed: 0, 'rolled back': 0, refused: 0, 'nothing to do': 0 })
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)

async function openWorkers({ addresses, doctors }: World, people: number, ledger: Ledger, release: Releasers) {
  const workers: Record<Side, Worker[]> = { staff: [], doctors: [] }
  for (let i = 0; i < people; i++) {
    const staff = await openStaff(addresses.clinic, TIME_ZONE)
    release.add('a member of staff', () => staff.close())
    workers.staff.push(new Worker('staff', staff, ledger))
    const doctor = await openDoctor(addresses.portal, doctors)
    release.add('a doctor', () => doctor.close())
    workers.doctors.push(new Worker('doctors', doctor, ledger))
  }
  return workers
}

/** The first records, each in a transaction of its own: a record can refer only to one that has a key. */
async function fill(staff: Worker | undefined, seed: number, extent: Extent): Promise<void> {
  for (const subject of firstSubjects(seed, extent)) {
    const random = stream(seed, 'first', subject.name)
    const row = firstRow(seed, subject, random, (column) => valueFor(random, column, subject.name))
    await staff?.do({ pauseMs: 0, operations: [{ do: 'insert', subject, row }], holdMs: 0, end: 'commit' }, () =>
      delay(0),
    )
  }
}

async function openBooks({ addresses }: World, release: Releasers): Promise<Books> {
  const clinic = await connectClinic(addresses.clinic)
  release.add('books of the clinic', () => clinic.close())
  const portal = new pg.Pool({ connectionString: addresses.portal, max: 2 })
  portal.on('error', () => undefined)
  release.add('books of the portal', () => portal.end())
  return new Books(clinic, portal)
}

async function openSides({ addresses }: World, release: Releasers) {
  const log = createLogger({ name: 'prove', level: 'silent' })
  const clinic = await openClinic({ url: addresses.clinic, timeZone: TIME_ZONE, log })
  release.add('clinic', () => clinic.close())
  const portal = await openPortal({ url: addresses.portal, log })
  release.add('portal', () => portal.close())
  return { clinic, portal }
}
