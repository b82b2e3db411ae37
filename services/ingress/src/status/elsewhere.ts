import { type Broker, type Watch, watchOutcomes } from '@clinic-sync/broker'
import { Backoff, type Delays, SyncError } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe } from '../describe.ts'

const RETRY: Delays = { min: 1_000, max: 30_000 }
/** RabbitMQ tells nobody that a consumer came or went: it is asked. Milliseconds. */
const ASK_MS = 5_000
/** This process is asked, which costs nothing. */
const LOOK_MS = 1_000

export interface ElsewhereOptions {
  readonly rabbitmqUrl: string
  readonly broker: Pick<Broker, 'queueDepths'>
  /** What this ingress knows of itself, in any text. */
  readonly own: () => string
  readonly changed: () => void
  readonly log: FastifyBaseLogger
  readonly askMs?: number
}

/**
 * Notices, while somebody looks on, what this ingress is not told of: outcomes, which another may settle; queues and consumers;
 * connections that were lost. No query to a database. Ends when `signal` is aborted.
 */
export async function watchElsewhere(options: ElsewhereOptions, signal: AbortSignal): Promise<void> {
  const { broker, own, changed, askMs = ASK_MS } = options
  const ownChanged = differs(own)
  const looking = setInterval(() => ownChanged() && changed(), LOOK_MS)
  let queues = await broker.queueDepths()
  const asking = setInterval(() => {
    void broker.queueDepths().then((now) => {
      if (JSON.stringify(now) !== JSON.stringify(queues)) changed()
      queues = now
    })
  }, askMs)
  await Promise.all([heard(options, 'sql-to-postgres', signal), heard(options, 'postgres-to-sql', signal)])
  clearInterval(looking)
  clearInterval(asking)
}

function differs(text: () => string): () => boolean {
  let before = text()
  return () => {
    const now = text()
    const different = now !== before
    before = now
    return different
  }
}

async function heard(
  { rabbitmqUrl: url, changed, log }: ElsewhereOptions,
  direction: 'sql-to-postgres' | 'postgres-to-sql',
  signal: AbortSignal,
): Promise<void> {
  const backoff = new Backoff(RETRY)
  let watch: Watch | undefined
  while (watch === undefined && !signal.aborted) {
    try {
      watch = await watchOutcomes({ url, log, name: 'ingress status', direction, onOutcomes: changed })
    } catch (error) {
      if (error instanceof SyncError && error.code === 'SYNC_BROKER_RIGHTS') {
        // RabbitMQ would write each further refusal into its log. What this ingress settles itself it knows.
        log.warn(describe(error), 'outcomes that another ingress settles are not heard')
        break
      }
      log.debug(describe(error), 'outcomes are not watched: trying again')
      await sleep(backoff.next(), undefined, { signal }).catch(() => undefined)
    }
  }
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  await watch?.close()
}
