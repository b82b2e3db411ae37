import type { Side } from '@clinic-sync/contracts'
import { DatabaseError, natureOf, type SyncDatabase } from '@clinic-sync/sync'

/**
 * Says of failures that may be the work's or the server's whose they are, for one batch while it is bisected.
 *
 * A statement that takes too long (`doubtful`), or for which memory is short (`narrow`), may be heavy itself: then the batch is
 * bisected, so that the others are applied. The server is to blame, and everything stops until it is cured, if its own check
 * fails; if two events fail so alone, one after the other, with nothing gone through in between; or if memory is short for
 * the only event there is. So a server that hangs costs a batch of 200 nine time limits, and not four hundred.
 */
export class Blame {
  readonly #check: () => Promise<void>
  readonly #side: Side | undefined
  readonly #total: number
  #checked = false
  #alone = 0

  /** @param side the target's. @param total how many events there are in all. */
  constructor(target: Pick<SyncDatabase, 'check'>, side: Side | undefined, total: number) {
    this.#side = side
    this.#check = () => target.check()
    this.#total = total
  }

  /** Some events have gone through: the server serves. */
  clear(): void {
    this.#alone = 0
  }

  /** The error that counts for these events: of class `down` if it is the server's. */
  async judge(error: unknown, events: readonly unknown[]): Promise<unknown> {
    if (!(error instanceof DatabaseError)) return error
    const nature = natureOf(error.number, this.#side)
    if (nature !== 'doubtful' && nature !== 'narrow') return error
    if (nature === 'doubtful' && !(await this.#answers())) return as('down', error, '; so is a look at the database')
    if (events.length > 1) return as('transient', error)
    if (++this.#alone > 1) return as('down', error, '; so is the next event')
    return this.#total === 1 ? error : as('transient', error)
  }

  /** Asked once a batch. */
  async #answers(): Promise<boolean> {
    if (this.#checked) return true
    this.#checked = true
    try {
      await this.#check()
      return true
    } catch (error) {
      return !(error instanceof DatabaseError)
    }
  }
}

function as(failure: 'down' | 'transient', error: DatabaseError, and = ''): DatabaseError {
  if (error.failure === failure) return error
  return new DatabaseError(failure, `${error.message}${and}`, { number: error.number })
}
