import type { Broker } from '@clinic-sync/broker'
import { DatabaseError } from '@clinic-sync/sync'
import { sentence } from './describe.ts'
import type { Outbox } from './empty-outbox.ts'
import type { IngressOptions } from './ingress-options.ts'
import type { KnownState } from './known-state.ts'
import { mergeSettlements } from './merge-settlements.ts'
import { RestoreWatch } from './restored.ts'
import { guarded, type Watched, watchOutbox } from './watched-outbox.ts'

/** Notices a restored database, and has /readyz say so; undefined: both sides' bookkeeping is not known here. */
export function watchForRestores(
  { bookkeeping: sides, log, observer }: Pick<IngressOptions, 'bookkeeping' | 'log' | 'observer'>,
  state: KnownState,
): RestoreWatch | undefined {
  if (sides === undefined) return undefined
  const watch = new RestoreWatch({ sides, log, onLooked: (found) => observer?.restored?.(found) })
  state.ask(
    'restored',
    () => watch.reason,
    () => 'no',
  )
  return watch
}

/** An outbox whose every use says to /readyz whether its database is there; after a restore nothing of it is read. */
export function watchForReadiness(outbox: Outbox, state: KnownState, restored: RestoreWatch | undefined): Watched {
  state.expect(outbox.side)
  const watched = watchOutbox(outbox, (error) => {
    // A deadlock or a refused row says nothing about the database as a whole.
    const unusable = !(error instanceof DatabaseError) || error.failure === 'down'
    if (error === null) state.tell(outbox.side, null)
    else if (unusable) state.tell(outbox.side, sentence(error))
  })
  const merging = { ...watched, settleChanges: mergeSettlements(watched.settleChanges) }
  return restored === undefined ? merging : guarded(merging, restored)
}

/** Why RabbitMQ is not ready; null: it is. */
export function brokerReason({ ready, publisher }: ReturnType<Broker['state']>): string | null {
  if (publisher === 'blocked')
    return 'RabbitMQ takes no messages: it is out of memory or disk. Free some, or give it more; it goes on by itself.'
  if (publisher !== 'up') return 'Not connected to RabbitMQ.'
  return ready ? null : 'Outcomes are not consumed: RabbitMQ or a database is not reachable.'
}
