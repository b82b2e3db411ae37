import { setTimeout as delay } from 'node:timers/promises'
import {
  cures,
  doctorError,
  type Extent,
  firstRow,
  firstSubjects,
  Ledger,
  openDoctor,
  openStaff,
  type Person,
  recordOf,
  schedule,
  type Session,
  type Side,
  staffError,
  type Step,
  stream,
  valueFor,
  Worker,
} from '@clinic-sync/prove/parts'
import type { World } from '../ground/world.ts'

export interface LoadOptions {
  readonly world: World
  readonly extent: Extent
  readonly people: number
  /** The schedule's pauses are this many times as long. */
  readonly pace: number
}

/** Errors that come to light only a moment after the fault behind them is over. Milliseconds. */
const AFTERMATH_MS = 25_000

/** People at work on both sides for as long as the run takes, who come back when their database was away. */
export class Load {
  readonly ledger = new Ledger()
  /** Records of transactions whose commit nobody answered: nobody knows whether they took place. */
  readonly unsure = new Set<string>()
  /** Edits that failed though nothing was wrong with their database. */
  readonly failures: string[] = []
  committed = 0
  readonly #options: LoadOptions
  readonly #stopping = new AbortController()
  readonly #hurt: Record<Side, number> = { staff: Number.NEGATIVE_INFINITY, doctors: Number.NEGATIVE_INFINITY }
  readonly #atWork: Promise<void>[] = []
  #gate: Promise<void> | null = null
  #open: () => void = () => undefined
  #busy = 0

  constructor(options: LoadOptions) {
    this.#options = options
  }

  /** The first records; each in a transaction of its own. */
  async fill(): Promise<void> {
    const { world, extent } = this.#options
    const session = await this.#session('staff')
    const staff = new Worker('staff', session, this.ledger)
    for (const subject of firstSubjects(world.seed, extent)) {
      const random = stream(world.seed, 'first', subject.name)
      const row = firstRow(world.seed, subject, random, (column) => valueFor(random, column, subject.name))
      await staff.do({ pauseMs: 0, operations: [{ do: 'insert', subject, row }], holdMs: 0, end: 'commit' }, () =>
        delay(0),
      )
    }
    await session.close()
  }

  start(): void {
    for (const side of ['staff', 'doctors'] as const)
      for (let number = 1; number <= this.#options.people; number++) this.#atWork.push(this.#work({ side, number }))
  }

  /** From now on edits of that side may fail; until a while after the next call with false. */
  expectFailures(side: Side, may: boolean): void {
    this.#hurt[side] = may ? Number.POSITIVE_INFINITY : performance.now() + AFTERMATH_MS
  }

  /** Resolves when nobody is in the middle of anything; nobody begins anything until `resume`. */
  async pause(): Promise<void> {
    this.#gate ??= new Promise((resolve) => (this.#open = resolve))
    while (this.#busy > 0) await delay(20)
  }

  resume(): void {
    this.#open()
    this.#gate = null
  }

  /** What doctors wrote that the clinic cannot take is replaced by what it can. */
  async cure(): Promise<void> {
    const { world, extent } = this.#options
    const session = await this.#session('doctors')
    const doctor = new Worker('doctors', session, this.ledger)
    for (const step of cures(firstSubjects(world.seed, extent))) await doctor.do(step, () => delay(0))
    await session.close()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.resume()
    await Promise.all(this.#atWork)
  }

  async #work(person: Person): Promise<void> {
    const { world, extent, pace } = this.#options
    const { side } = person
    const { signal } = this.#stopping
    const wait = (ms: number) => delay(ms, undefined, { signal }).catch(() => undefined)
    const steps = schedule(world.seed, extent, person)
    let session: Session | null = null
    for (const step of steps) {
      await wait(step.pauseMs * pace)
      await this.#gate
      if (signal.aborted) break
      this.#busy++
      try {
        session ??= await this.#session(side)
        await this.#do(new Worker(side, session, this.ledger), step, wait)
      } catch (error) {
        if (performance.now() > this.#hurt[side])
          this.failures.push(`an edit by ${side} failed: ${side === 'staff' ? staffError(error) : doctorError(error)}`)
        await within(2_000, session?.close())
        session = null
        await wait(300)
      } finally {
        this.#busy--
      }
    }
    await within(2_000, session?.close())
  }

  async #do(worker: Worker, step: Step, wait: (ms: number) => Promise<unknown>): Promise<void> {
    if ((await worker.do(step, wait)) === 'committed') this.committed++
  }

  /** A session that notes what a commit without an answer was about. */
  async #session(side: Side): Promise<Session> {
    const { addresses, timeZone, doctors } = this.#options.world
    const session = await (side === 'staff'
      ? openStaff(addresses.clinic, timeZone)
      : openDoctor(addresses.portal, doctors))
    let touched: string[] = []
    return {
      ...session,
      begin() {
        touched = []
        return session.begin()
      },
      hold(table, key) {
        touched.push(recordOf({ table, key }))
        return session.hold(table, key)
      },
      async insert(table, key, row) {
        const made = await session.insert(table, key, row)
        touched.push(recordOf({ table, key: made }))
        return made
      },
      async remove(table, key) {
        const gone = await session.remove(table, key)
        touched.push(...gone.map(recordOf))
        return gone
      },
      commit: async () => {
        try {
          await session.commit()
        } catch (error) {
          for (const record of touched) this.unsure.add(record)
          throw error
        }
      },
    }
  }
}

/** Saying goodbye to a server that is away may take for ever. */
async function within(ms: number, work: Promise<unknown> | undefined): Promise<void> {
  await Promise.race([work?.catch(() => undefined), delay(ms, undefined, { ref: false })])
}
