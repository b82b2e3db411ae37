import type { Direction, SyncEvent } from '@clinic-sync/contracts'
import type { AppliedEvent, Observer } from '@clinic-sync/sync'
import type { BadDelivery } from './api.ts'
import type { Ruling } from './apply-batch.ts'
import { PublishError } from './errors.ts'
import { HEADER } from './headers.ts'
import type { OutgoingMessage } from './publisher.ts'
import { DEAD, RETRY } from './topology.ts'

/** Tells of the events that were confirmed, of those that `publish` was given. */
export async function observePublish(
  events: readonly SyncEvent[],
  observer: Observer | undefined,
  publish: () => Promise<void>,
): Promise<void> {
  try {
    await publish()
    observer?.published?.(events)
  } catch (error) {
    if (error instanceof PublishError) observer?.published?.(events.filter((_, index) => !error.failures.has(index)))
    throw error
  }
}

/** Tells of copies that are stored now, whatever made them: a ruling, a message that is none of ours, an unforeseen failure. */
export function observeCopies(
  copies: readonly OutgoingMessage[],
  direction: Direction,
  observer: Observer | undefined,
): void {
  if (observer === undefined) return
  for (const { exchange, options } of copies) {
    const text = (name: string) => String((options.headers as Record<string, unknown> | undefined)?.[name] ?? 'unknown')
    if (exchange === DEAD) observer.died?.(direction, text(HEADER.errorCode))
    else if (exchange === RETRY) observer.retried?.(direction, text(HEADER.errorType))
  }
}

/** What became of a batch, for `Observer.applied`; what is put off will be in another. */
export function appliedOf(rulings: readonly Ruling[], bad: readonly BadDelivery[]): AppliedEvent[] {
  return [
    ...rulings.flatMap(({ delivery: { event }, outcome }): AppliedEvent[] =>
      outcome === null ? [] : [{ table: event.data.table, capturedAt: event.time, outcome: outcome.outcome }],
    ),
    ...bad.map(({ about }): AppliedEvent => ({ table: about?.table ?? '', capturedAt: null, outcome: 'dead' })),
  ]
}
