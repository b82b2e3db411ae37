import { deadQueue, DIRECTIONS, eventQueues, outcomeQueue, retryQueue, UNROUTED } from '@clinic-sync/broker'
import { compareSides, type Difference } from '@clinic-sync/demo'
import { isTableName } from '@clinic-sync/mapping'
import { mayDie, recordOf } from '@clinic-sync/prove/parts'
import { comes, patiently } from '../ground/patience.ts'
import type { Ground } from '../ground/ground.ts'
import { versionOf } from '../ground/tap.ts'
import { APPLIED_TWICE } from '../ground/write-log.ts'
import type { Recoveries } from './recovery.ts'

const MOVING = [...DIRECTIONS.flatMap(eventQueues), ...DIRECTIONS.map(outcomeQueue), retryQueue(1)]
/** What is in there waits for a minute or for ten: longer than anybody wants to look on. */
const LONG_RETRIES = [retryQueue(2), retryQueue(3)]
const DEAD = [...DIRECTIONS.map(deadQueue), UNROUTED]
const REST_MS = 120_000
const HEARS_MS = 10_000

/** What was found since the checkpoint before. */
export interface Findings {
  /** Events of which nobody knows what became: no outcome, no newer version with one, no dead letter. */
  readonly lost: readonly string[]
  readonly twice: readonly string[]
  readonly differences: readonly Difference[]
  readonly troubles: readonly string[]
  readonly deadLetters: number
}

/** Between two faults everybody stops for a moment, so that what is wrong can be laid to the fault before. */
export class Checkpoints {
  /** Versions with a dead letter, as `direction record version`. */
  readonly dead = new Set<string>()
  readonly #ground: Ground
  readonly #restMs: number
  readonly #recoveries: Recoveries
  readonly #told = new Set<string>()
  readonly #known = new Set<string>()

  constructor(ground: Ground, recoveries: Recoveries, restMs = REST_MS) {
    this.#ground = ground
    this.#restMs = restMs
    this.#recoveries = recoveries
  }

  /** Everybody pauses; when all is at rest, both sides are compared and every event since is accounted for. */
  async take(): Promise<Findings> {
    const { load, sides, crew } = this.#ground
    const troubles: string[] = []
    await load.pause()
    try {
      await patiently(() => load.cure())
      if (!(await this.#rest())) troubles.push(await this.#unrest())
      const letters = await this.#deadLetters()
      const comparisons = await patiently(() => compareSides(sides.clinic, sides.portal))
      const differences = comparisons
        .flatMap((comparison) => comparison.differences)
        .filter((found) => this.#isNews(found))
      troubles.push(...letters.troubles, ...(await this.#failedRows()), ...crew.takeDied())
      troubles.push(...load.failures.splice(0), ...this.#ground.troubles.splice(0))
      // What we listen by may have been cut off as well, and hear it a little later.
      await comes(async () => this.#unaccounted().length === 0, HEARS_MS)
      return { lost: await this.#lost(), twice: await this.#twice(), differences, troubles, deadLetters: letters.count }
    } finally {
      load.resume()
    }
  }

  /** Waits until no outbox row is open and no message waits, seen twice in a row: a message on its way is in no queue. */
  async #rest(): Promise<boolean> {
    const { desk } = this.#ground
    let empty = 0
    return comes(
      async () => {
        const rest = await this.#recoveries.atRest()
        const moving = await desk.waiting(MOVING)
        const long = await desk.waiting(LONG_RETRIES)
        if (moving === 0 && long > 0) await desk.hurry(LONG_RETRIES)
        empty = rest && moving + long === 0 ? empty + 1 : 0
        return empty === 2
      },
      this.#restMs,
      150,
    )
  }

  async #unrest(): Promise<string> {
    const { books, desk } = this.#ground
    const open = await patiently(() => books.outbox('Pending', 'Queued'))
    const some = open.slice(0, 5).map(({ side, record, status, error }) => `${side} ${record} ${status} ${error ?? ''}`)
    const queues: string[] = []
    for (const queue of [...MOVING, ...LONG_RETRIES]) {
      const count = await desk.waiting([queue])
      if (count > 0) queues.push(`${queue}: ${count}`)
    }
    return `no rest: ${open.length} outbox rows are open (${some.join('; ')}), messages wait in ${queues.join(', ') || 'no queue'}`
  }

  /** Takes the dead letters out; those that nobody has provoked are trouble. */
  async #deadLetters(): Promise<{ readonly count: number; readonly troubles: readonly string[] }> {
    const { desk, load, provoked } = this.#ground
    const troubles: string[] = []
    let count = 0
    for (const queue of DEAD) {
      for (const { properties, content } of await desk.empty(queue)) {
        count++
        const headers: Record<string, unknown> = properties.headers ?? {}
        const record = String(headers['sync-entity-key'])
        const direction = queue.replace('sync.dead.', '')
        this.dead.add(`${direction} ${record} ${String(headers['sync-version'])}`)
        if (provoked.has(record) || provoked.has(String(properties.messageId))) continue
        if (direction === 'postgres-to-sql' && mayDie(record, load.ledger)) continue
        const { 'sync-error-code': code, 'sync-error-message': message, 'x-death': death } = headers
        const why =
          code === undefined ? `RabbitMQ's own ${JSON.stringify(death)}` : `${String(code)} ${String(message)}`
        troubles.push(`a dead letter in ${queue}: ${record}, ${content.length} bytes: ${why}`)
      }
    }
    return { count, troubles }
  }

  async #failedRows(): Promise<string[]> {
    const { books, load, provoked } = this.#ground
    const failed = await patiently(() => books.outbox('Failed'))
    return failed
      .filter(({ side, record }) => !provoked.has(record) && (side === 'clinic' || !mayDie(record, load.ledger)))
      .map(({ side, record, error }) => `a Failed row in the ${side}'s outbox: ${record}: ${error ?? 'no reason'}`)
      .filter((line) => !this.#known.has(line) && this.#known.add(line))
  }

  /** An outcome that we have not heard, but the ingress has, is in the outbox. */
  async #lost(): Promise<string[]> {
    const lost: string[] = []
    for (const key of this.#unaccounted()) {
      this.#told.add(key)
      const { direction, record, version } = versionOf(key)
      const [table = '', id] = record.split('/')
      const side = this.#ground.sides[direction === 'sql-to-postgres' ? 'clinic' : 'portal']
      if (!isTableName(table)) continue
      const [known] = await patiently(() => side.recordVersions([{ table, key: Number(id), version }]))
      if (known?.status !== 'Synced' && known?.status !== 'Failed')
        lost.push(`${key}: no outcome, ${known?.status ?? 'nothing'} in the outbox`)
    }
    return lost
  }

  /** Events without an outcome, unless a newer version of the record has one, or it is in the dead-letter queue. */
  #unaccounted(): string[] {
    const newest = new Map<string, bigint>()
    for (const [key, { final }] of this.#ground.tap.fates) {
      const { direction, record, version } = versionOf(key)
      const way = `${direction} ${record}`
      if (final !== null && BigInt(version) > (newest.get(way) ?? -1n)) newest.set(way, BigInt(version))
    }
    return [...this.#ground.tap.fates].flatMap(([key, { final }]) => {
      if (final !== null || this.#told.has(key) || this.dead.has(key)) return []
      const { direction, record, version } = versionOf(key)
      return (newest.get(`${direction} ${record}`) ?? -1n) > BigInt(version) ? [] : [key]
    })
  }

  /** By the portal's own log of writes; and by what was reported for the clinic. */
  async #twice(): Promise<string[]> {
    const { portal, tap } = this.#ground
    const { rows } = await patiently(() =>
      portal.query<{ record: string; version: string; what: string }>(APPLIED_TWICE),
    )
    const there = rows.map(({ record, version, what }) => `sql-to-postgres ${record} ${version}: applied ${what}`)
    const here = [...tap.fates]
      .filter(([key, { writes }]) => key.startsWith('postgres-to-sql') && writes.size > 1)
      .map(([key, { writes }]) => `${key}: reported as applied ${writes.size} times`)
    return [...there, ...here].filter((line) => !this.#told.has(line) && this.#told.add(line))
  }

  #isNews(difference: Difference): boolean {
    const line = `${recordOf(difference)} ${difference.kind}`
    if (this.#known.has(line)) return false
    this.#known.add(line)
    return true
  }
}
