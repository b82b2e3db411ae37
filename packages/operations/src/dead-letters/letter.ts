import type { About, BoxedLetter } from '@clinic-sync/broker'
import { type Direction, sourceOf } from '@clinic-sync/contracts'
import { isTableName } from '@clinic-sync/mapping'
import type { RecordVersion, RecordVersionStatus, SyncError } from '@clinic-sync/sync'

/**
 * What a dead letter still stands for. `standing`: its change has not arrived. `superseded`: a later version of the record has
 * succeeded. `settled`: this very version has, so it was replayed or sent anew. `discarded`: an operator has given it up, and the
 * command was interrupted. `unclear`: its headers do not say which change it is.
 */
export type Standing = 'standing' | 'superseded' | 'settled' | 'discarded' | 'unclear'

/** A dead letter, and what its source's outbox says of it. */
export interface JudgedLetter {
  readonly letter: BoxedLetter
  readonly direction: Direction | null
  readonly standing: Standing
  /** The version that has succeeded since, where it is known. */
  readonly supersededBy: string | null
  /** Null: the source could not be asked, or has nothing to say. */
  readonly outbox: RecordVersionStatus | null
}

export interface Judged {
  readonly letters: readonly JudgedLetter[]
  /** Outboxes that could not be asked: only the headers speak for their letters. */
  readonly unasked: ReadonlyMap<Direction, SyncError>
}

const DIRECTIONS: readonly Direction[] = ['sql-to-postgres', 'postgres-to-sql']

/** The direction that a letter travelled in: by its headers, the queue that it lies in, or its event's id. */
export function directionOfLetter({ direction, queue, messageId }: BoxedLetter): Direction | null {
  if (direction !== null) return direction
  const named = DIRECTIONS.find((each) => queue === `sync.dead.${each}`)
  if (named !== undefined) return named
  return DIRECTIONS.find((each) => messageId?.startsWith(`${sourceOf(each)}/`) === true) ?? null
}

/** Asks each letter's source, once for each direction, both at once. @param ask wraps the question, so that an outbox that is away is an answer. */
export async function judge(
  letters: readonly BoxedLetter[],
  ask: (direction: Direction, records: readonly RecordVersion[]) => Promise<readonly RecordVersionStatus[] | SyncError>,
): Promise<Judged> {
  const unasked = new Map<Direction, SyncError>()
  const answers = new Map<BoxedLetter, RecordVersionStatus>()
  const judgeOne = async (direction: Direction) => {
    const known = letters.flatMap((letter) => {
      const record = directionOfLetter(letter) === direction ? recordVersionOf(letter.about) : null
      return record === null ? [] : [{ letter, record }]
    })
    if (known.length === 0) return
    const found = await ask(
      direction,
      known.map(({ record }) => record),
    )
    if (found instanceof Error) unasked.set(direction, found)
    else for (const [index, { letter }] of known.entries()) if (found[index]) answers.set(letter, found[index])
  }
  // Both at once: all letters are held meanwhile, and each may take its whole time.
  await Promise.all(DIRECTIONS.map(judgeOne))
  return { letters: letters.map((letter) => judged(letter, answers.get(letter) ?? null)), unasked }
}

function recordVersionOf(about: About | null): RecordVersion | null {
  return about !== null && isTableName(about.table) ? { ...about, table: about.table } : null
}

function judged(letter: BoxedLetter, outbox: RecordVersionStatus | null): JudgedLetter {
  const supersededBy = letter.supersededBy ?? outbox?.supersededBy ?? null
  const standing = ((): Standing => {
    // The outbox settles a row with the record's later version too: that says more than that it is settled.
    if (supersededBy !== null && supersededBy !== letter.about?.version) return 'superseded'
    if (supersededBy !== null || outbox?.status === 'Synced') return 'settled'
    if (outbox?.reason?.startsWith('SYNC_DISCARDED:') === true) return 'discarded'
    return letter.about === null ? 'unclear' : 'standing'
  })()
  return { letter, direction: directionOfLetter(letter), standing, supersededBy, outbox }
}

/** Whether its change has arrived in another way, so that it would change nothing any more. */
export const isOver = ({ standing }: JudgedLetter): boolean => standing === 'superseded' || standing === 'settled'
