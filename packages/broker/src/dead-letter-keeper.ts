import { backoffMs, type Observer } from '@clinic-sync/sync'
import type { Direction, Outcome } from '@clinic-sync/contracts'
import type { KeepDeadLettersOptions, Log } from './api.ts'
import { changeOf } from './consume-rejected.ts'
import { type BoxedLetter, openDeadLetterBox, type DeadLetterBox, type OpenedLetter } from './dead-letters/box.ts'
import { describe } from './errors.ts'
import { deadCopy, supersededCopy } from './failed.ts'
import { type About, unannotated } from './headers.ts'
import type { OutgoingMessage, Publisher } from './publisher.ts'
import { deadQueue, DIRECTIONS } from './topology.ts'
import { sleep, within } from './wait.ts'

/** Between what calls for a look and the look: outcomes come in bursts. */
const REST_MS = 1_000
/** A look may take a tenth of the time: with many dead letters standing, the next one waits nine times as long as the last took. */
const REST_FACTOR = 9
/** For whoever works on the dead letters now; then later again. */
const LOCK_MS = 2_000
const CLOSE_MS = 5_000
/** Letters that are rewritten at a time. */
const CHUNK = { letters: 100, bytes: 16 * 1024 * 1024 }
/** Records remembered from before the first look. */
const MAX_UNSEEN = 50_000

export interface KeeperOptions extends KeepDeadLettersOptions {
  readonly url: string
  readonly log: Log
  readonly name: string
  readonly maxMessageBytes: number
  readonly publisher: Pick<Publisher, 'publish'>
  readonly observer?: Observer | undefined
}

/** What is known of one direction. */
interface Known {
  /** Record → the lowest version of its dead letters that nothing has superseded. Null: nobody has looked yet. */
  dead: Map<string, bigint> | null
  /** Dead letters that do not say which record they are of. */
  strangers: number
  /** As `dead`, of what was reported since the last look began: the letter comes after its outcome, and may be in none of them. */
  died: Map<string, bigint>
  /** Record → the highest version that has succeeded, of those that may have superseded a dead letter. */
  succeeded: Map<string, bigint>
  /** Outcomes may have been settled elsewhere: look before trusting `dead`. */
  sure: boolean
  /** Dead letters, by their ids, that the outbox has been asked about. */
  asked: Set<string>
  wanted: boolean
}

/**
 * Keeps the headers of dead letters true: that a later version of the record has succeeded; and ours, for what RabbitMQ itself has
 * dead-lettered.
 *
 * Which records have dead letters is remembered, so that a flood of outcomes with thousands of dead letters standing calls for a look
 * only where one of these records is among them. A look takes all of a direction in hand, under the lock that operators'
 * commands take as well; a changed letter is stored before the old one is removed, so a crash leaves two of it, never none.
 */
export class Keeper {
  readonly #options: KeeperOptions
  readonly #known: Readonly<Record<Direction, Known>>
  readonly #stop = new AbortController()
  #running: Promise<void> | null = null
  /** When the next look may begin (ms, monotonic). */
  #notBefore = 0

  constructor(options: KeeperOptions) {
    this.#options = options
    const known = (): Known => ({
      dead: null,
      strangers: 0,
      died: new Map(),
      succeeded: new Map(),
      sure: false,
      asked: new Set(),
      wanted: false,
    })
    this.#known = { 'sql-to-postgres': known(), 'postgres-to-sql': known() }
    for (const direction of DIRECTIONS) this.look(direction)
  }

  /** Outcomes that are in the outbox now. */
  settled(direction: Direction, outcomes: readonly Outcome[]): void {
    const known = this.#known[direction]
    let wanted = !known.sure
    known.sure = true
    for (const { table, key, version, outcome } of outcomes) {
      // The newer one that a stale event has met is reported by itself.
      if (outcome === 'retry' || outcome === 'stale') continue
      const record = `${table}/${key}`
      const at = BigInt(version)
      const dead = known.dead?.get(record)
      if (outcome === 'dead') {
        lower(known.died, record, at)
        if (known.dead !== null) lower(known.dead, record, at)
      } else if (known.dead === null ? known.succeeded.size < MAX_UNSEEN : dead !== undefined && dead <= at) {
        raise(known.succeeded, record, at)
        wanted = true
      }
    }
    this.#tell(direction)
    if (wanted) this.look(direction)
  }

  /** Another may settle this direction's outcomes for a while. */
  unsure(direction: Direction): void {
    this.#known[direction].sure = false
  }

  /** Looks into a direction's dead letters, a little later. */
  look(direction: Direction): void {
    this.#known[direction].wanted = true
    this.#start()
  }

  async close(): Promise<void> {
    this.#stop.abort()
    if (this.#running !== null) await within(CLOSE_MS, this.#running)
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = null
      // Called for between the last look and here.
      if (this.#isWanted() && !this.#stop.signal.aborted) this.#start()
    })
  }

  #isWanted(): boolean {
    return DIRECTIONS.some((direction) => this.#known[direction].wanted)
  }

  async #run(): Promise<void> {
    const { restMs = REST_MS, log } = this.#options
    for (let failures = 0; this.#isWanted();) {
      await sleep(Math.max(restMs, this.#notBefore - performance.now()), this.#stop.signal)
      if (this.#stop.signal.aborted) return
      const since = performance.now()
      let rest: number
      try {
        for (const direction of DIRECTIONS) if (this.#known[direction].wanted) await this.#lookInto(direction)
        failures = 0
        rest = (performance.now() - since) * REST_FACTOR
      } catch (error) {
        if (failures === 0) log.warn(describe(error), 'the dead letters cannot be looked at: trying again')
        rest = backoffMs(failures++)
      }
      this.#notBefore = performance.now() + rest
    }
  }

  async #lookInto(direction: Direction): Promise<void> {
    const { url, name, log } = this.#options
    const known = this.#known[direction]
    known.wanted = false
    const { succeeded, died } = known
    known.succeeded = new Map()
    known.died = new Map()
    let box: DeadLetterBox | undefined
    try {
      box = await openDeadLetterBox({ url, queues: [deadQueue(direction)], waitMs: LOCK_MS, name: `${name} keeping` })
      await this.#ask(direction, box.letters, succeeded)
      const newer = (letter: BoxedLetter) => supersededBy(letter, succeeded)
      const changed = box.letters.filter((letter) => isRabbits(letter) || newer(letter) !== null)
      for (const chunk of chunks(changed)) await this.#rewrite(direction, box, chunk, newer)
      known.strangers = box.letters.filter(({ about }) => about === null).length
      known.dead = deadOf(box.letters.filter((letter) => newer(letter) === null))
      const there = new Set(
        box.letters.flatMap(({ about }) => (about === null ? [] : `${recordOf(about)}@${about.version}`)),
      )
      for (const [record, version] of [...died, ...known.died])
        if (!there.has(`${record}@${version}`)) lower(known.dead, record, version)
      if (changed.length > 0) log.info({ direction, letters: changed.length }, 'dead letters say what became of them')
    } catch (error) {
      known.wanted = true
      for (const [record, version] of succeeded) raise(known.succeeded, record, version)
      for (const [record, version] of died) lower(known.died, record, version)
      throw error
    } finally {
      await box?.close()
    }
    this.#tell(direction)
    this.#settledMeanwhile(direction)
  }

  #tell(direction: Direction): void {
    const { dead, strangers } = this.#known[direction]
    if (dead !== null) this.#options.observer?.standing?.(direction, dead.size + strangers)
  }

  /** Asks the outbox about those that it has not been asked about: a later version may have succeeded before this process began. */
  async #ask(direction: Direction, letters: readonly BoxedLetter[], succeeded: Map<string, bigint>): Promise<void> {
    const { versionsOf, log } = this.#options
    const known = this.#known[direction]
    const there = new Set(letters.map(({ id }) => id))
    known.asked = new Set([...known.asked].filter((id) => there.has(id)))
    const open = letters.flatMap(({ id, about, supersededBy: by }) =>
      about === null || by !== null || known.asked.has(id) ? [] : [{ id, about }],
    )
    if (versionsOf === undefined || open.length === 0) return
    try {
      const answers = await versionsOf(
        direction,
        open.map(({ about }) => about),
      )
      open.forEach(({ id, about }, index) => {
        const by = answers[index]?.supersededBy ?? null
        if (by !== null) raise(succeeded, recordOf(about), BigInt(by))
        known.asked.add(id)
      })
    } catch (error) {
      // Its outcomes, once it is there again, call for the next look.
      log.debug({ direction, ...describe(error) }, 'the outbox cannot be asked about dead letters')
    }
  }

  /** Stores the letters with their new headers, and then removes the old ones. */
  async #rewrite(
    direction: Direction,
    box: DeadLetterBox,
    letters: readonly BoxedLetter[],
    newer: (letter: BoxedLetter) => bigint | null,
  ): Promise<void> {
    const opened = await box.take(letters)
    await this.#options.publisher.publish(opened.map((each) => this.#copyOf(direction, each, newer(each.letter))))
    for (const { letter } of opened) box.remove(letter)
  }

  #copyOf(direction: Direction, { letter, message }: OpenedLetter, by: bigint | null): OutgoingMessage {
    if (!isRabbits(letter)) return supersededCopy(message, direction, String(by))
    const { name: appId, maxMessageBytes } = this.#options
    const { id, attempts, sourceQueue, failedAt } = letter
    const copy = deadCopy(message, {
      direction,
      id,
      attempts,
      failure: unannotated(message),
      queue: sourceQueue ?? 'unknown',
      appId,
      about: changeOf(message, { direction, maxMessageBytes }),
      ...(failedAt !== null && { failedAt }),
    })
    if (by === null) return copy
    return supersededCopy({ content: copy.content, properties: copy.options }, direction, String(by))
  }

  /** What has succeeded during the look may concern a letter that it has found. */
  #settledMeanwhile(direction: Direction): void {
    const known = this.#known[direction]
    for (const [record, version] of known.succeeded) {
      const dead = known.dead?.get(record)
      if (dead !== undefined && dead <= version) known.wanted = true
      else known.succeeded.delete(record)
    }
  }
}

const recordOf = ({ table, key }: About) => `${table}/${key}`

/** RabbitMQ's own, without our headers. What somebody else put there stays as it is. */
const isRabbits = ({ annotated, errorType }: BoxedLetter) => !annotated && errorType === 'delivery-limit'

/** The version that has succeeded since: that very one too, where it was delivered once more. */
function supersededBy({ about, supersededBy: by }: BoxedLetter, succeeded: ReadonlyMap<string, bigint>): bigint | null {
  if (about === null || by !== null) return null
  const version = succeeded.get(recordOf(about))
  return version !== undefined && version >= BigInt(about.version) ? version : null
}

function deadOf(letters: readonly BoxedLetter[]): Map<string, bigint> {
  const dead = new Map<string, bigint>()
  for (const { about, supersededBy: by } of letters) {
    if (about === null || by !== null) continue
    lower(dead, recordOf(about), BigInt(about.version))
  }
  return dead
}

function lower(versions: Map<string, bigint>, record: string, version: bigint): void {
  const known = versions.get(record)
  if (known === undefined || version < known) versions.set(record, version)
}

function raise(versions: Map<string, bigint>, record: string, version: bigint): void {
  const known = versions.get(record)
  if (known === undefined || known < version) versions.set(record, version)
}

/** As many letters at a time as the memory may hold. */
function* chunks(letters: readonly BoxedLetter[]): Generator<readonly BoxedLetter[]> {
  let chunk: BoxedLetter[] = []
  let bytes = 0
  for (const letter of letters) {
    if (chunk.length > 0 && (chunk.length === CHUNK.letters || bytes + letter.bytes > CHUNK.bytes)) {
      yield chunk
      chunk = []
      bytes = 0
    }
    chunk.push(letter)
    bytes += letter.bytes
  }
  if (chunk.length > 0) yield chunk
}
