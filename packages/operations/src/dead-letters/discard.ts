import { contentOf, type DeadLetterBox, type OpenedLetter, type Sender } from '@clinic-sync/broker'
import { directionFrom, type Direction, type Settlement } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import { directionOfLetter, type JudgedLetter } from './letter.ts'
import { portions } from './steps.ts'

export interface DiscardPorts {
  readonly box: Pick<DeadLetterBox, 'take' | 'remove'>
  readonly sender: Pick<Sender, 'discard'>
  /** Tells the source's outbox. */
  readonly settle: (direction: Direction, settlements: readonly Settlement[]) => Promise<void>
}

/**
 * Gives dead letters up: each is stored in `sync.discarded` with who and why, its outbox row says so too and stays Failed, and
 * only then is it removed. A later change of the record travels as any other.
 *
 * @param reason words of the operator's own, which go into the outbox and into headers.
 * @returns how many.
 * @throws SyncError of RabbitMQ, DatabaseError of the source: what was not done yet is back in its queue.
 */
export async function discard(
  ports: DiscardPorts,
  letters: readonly JudgedLetter[],
  reason: { readonly by: string; readonly why: string },
  onProgress?: (done: number, total: number) => void,
): Promise<number> {
  let done = 0
  for (const portion of portions(letters)) {
    const opened = await ports.box.take(portion.map(({ letter }) => letter))
    await ports.sender.discard(opened, reason)
    for (const direction of ['sql-to-postgres', 'postgres-to-sql'] as const) {
      const settlements = opened.flatMap((each) => settlementOf(each, direction, reason))
      if (settlements.length > 0) await ports.settle(direction, settlements)
    }
    for (const { letter } of opened) ports.box.remove(letter)
    done += opened.length
    onProgress?.(done, letters.length)
  }
  return done
}

function settlementOf(
  opened: OpenedLetter,
  direction: Direction,
  { by, why }: { readonly by: string; readonly why: string },
): Settlement[] {
  const change = changeOf(opened)
  if (change === null || change.direction !== direction) return []
  const { table, key, version } = change
  return [{ table, key, version, outcome: 'discarded', reason: `by ${by}: ${why}`.slice(0, 1_000) }]
}

/** Which change it is, by its body, or else by its headers; null: it is none of ours. */
function changeOf(opened: OpenedLetter) {
  try {
    const content = contentOf(opened)
    if (!('event' in content)) return null
    const { event } = content
    return { ...event.data, direction: directionFrom(event.source) }
  } catch (error) {
    if (!(error instanceof SyncError)) throw error
    const direction = directionOfLetter(opened.letter)
    return opened.letter.about === null || direction === null ? null : { ...opened.letter.about, direction }
  }
}
