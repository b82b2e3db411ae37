import type { Side, Version } from '@clinic-sync/contracts'
import { type Comparable, type ConnectionCounts, findRestored, type RestoredSide, SyncError } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { describe } from './describe.ts'

export type Sides = Readonly<Record<Side, Comparable>>

export interface RestoreWatchOptions {
  readonly sides: Sides
  readonly log: FastifyBaseLogger
  /** Told of each look what it found. */
  readonly onLooked?: (restored: readonly Side[]) => void
}

const SIDES: readonly Side[] = ['clinic', 'portal']

/**
 * Notices that a database was restored from a backup. Its queue ids and its bookkeeping have gone back in time, so its changes would
 * be taken for old ones, and the other side's rows for rulings on edits that it never had. So nothing is published, in either
 * direction, until both sides agree again; and the side that was restored applies nothing.
 *
 * A restore ends every connection: so both sides are compared after each new one, before anything is published. As long as the one
 * that listens has held, a further one only says that there may have been time to fill a database anew from a dump: then they are
 * compared beside the work, since a comparison takes up to 50 ms at 100,000 records. While a restore is not repaired they are compared
 * at each try.
 */
export class RestoreWatch {
  readonly #options: RestoreWatchOptions
  /** Connections made, on each side, before the last look that found nothing. */
  #known = ''
  /** The further ones after which a look was begun. */
  #beside = ''
  #suspected = false
  #found: readonly RestoredSide[] = []
  #repairing = false
  #looking: Promise<void> = Promise.resolve()
  /** The highest queue id of each side that was seen here, once both sides have agreed. */
  readonly #ids = new Map<Side, bigint>()

  constructor(options: RestoreWatchOptions) {
    this.#options = options
  }

  /** What was found, one sentence; null: nothing. */
  get reason(): string | null {
    if (this.#found.length === 0)
      return this.#repairing
        ? 'A database that was restored from a backup is being repaired; if that was interrupted, run `npm run sync -- after-restore` again.'
        : null
    const told = this.#found.map(({ side, why }) => `the ${side}'s database ${why}`).join('; ')
    return `A database was restored from a backup: ${told}. Nothing is sent in either direction until \`npm run sync -- after-restore\` has repaired it.`
  }

  /** A version that was taken from this side's outbox. */
  note(side: Side, version: Version): void {
    const before = this.#ids.get(side)
    if (before !== undefined && BigInt(version) > before) this.#ids.set(side, BigInt(version))
  }

  /** An outcome says that the other side has had later versions: the next guard looks again. */
  suspect(): void {
    this.#suspected = true
  }

  /**
   * To be called after a look into an outbox, before anything of it is published.
   *
   * Where the other side cannot be asked, this side alone must not have gone back behind what was seen here before.
   *
   * @throws SyncError SYNC_RESTORED; DatabaseError where a side cannot be asked that has to be
   */
  async guard(side: Side): Promise<void> {
    if (this.#isKnown()) return this.#lookBeside()
    // Who asks during a look gets the next one: it may have a connection that this look did not know of.
    this.#looking = this.#looking.catch(() => undefined).then(() => this.#look())
    try {
      await this.#looking
    } catch (error) {
      if (!(await this.#isAhead(side))) throw error
    }
    if (this.reason !== null) throw new SyncError('SYNC_RESTORED', this.reason)
  }

  #isKnown(): boolean {
    return this.reason === null && !this.#suspected && this.#known === this.#connections('anew')
  }

  /** Does not hold up who asks, and fails silently: the next one who asks looks again. */
  #lookBeside(): void {
    if (this.#beside === this.#connections('beside')) return
    this.#beside = this.#connections('beside')
    this.#looking = this.#looking.catch(() => undefined).then(() => this.#compare())
    this.#looking.then(
      // Its own connections are no reason to look again.
      () => (this.#beside = this.#connections('beside')),
      () => (this.#beside = ''),
    )
  }

  async #isAhead(side: Side): Promise<boolean> {
    const before = this.#ids.get(side)
    if (before === undefined || this.reason !== null) return false
    const { lastId, held } = await this.#options.sides[side].bookkeeping([], 1)
    return held === null && lastId !== null && BigInt(lastId) >= before
  }

  async #look(): Promise<void> {
    if (!this.#isKnown()) await this.#compare()
  }

  async #compare(): Promise<void> {
    const { sides, log, onLooked } = this.#options
    const connections = this.#connections('anew')
    const { restored: found, repairing, lastIds } = await findRestored(sides)
    if (found.length === 0 && !repairing && this.reason !== null)
      log.info('the restored database is repaired: both outboxes go on')
    for (const { side, why } of found) {
      if (this.#found.some((before) => before.side === side)) continue
      log.error(
        { code: 'SYNC_RESTORED', database: side, reason: why },
        `the ${side}'s database was restored from a backup: nothing is sent until after-restore has repaired it`,
      )
      // What RabbitMQ has of a side that went back is nowhere else; where both did, each is to have it.
      if (found.length > 1 || repairing) continue
      await sides[side]
        .hold('restored')
        .catch((error: unknown) => log.warn(describe(error), `the ${side} cannot be told to hold up what comes to it`))
    }
    this.#found = found
    this.#repairing = repairing
    if (found.length === 0 && !repairing) {
      this.#known = connections
      for (const side of SIDES) if (lastIds[side] !== null) this.#ids.set(side, BigInt(lastIds[side]))
      this.#suspected = false
    }
    onLooked?.(found.map(({ side }) => side))
  }

  #connections(which: keyof ConnectionCounts): string {
    return SIDES.map((side) => this.#options.sides[side].connections()[which]).join(' ')
  }
}
