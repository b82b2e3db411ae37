import { type Direction, directionFrom, type SyncEvent } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import { Connection } from '../connection.ts'
import { PublishError } from '../errors.ts'
import { discardedCopy } from '../failed.ts'
import { HEADER } from '../headers.ts'
import { decodeEvent, decodeOutcomes, eventMessage, outcomeMessage, OUTCOMES_TYPE } from '../message.ts'
import { Topology } from '../prepare.ts'
import { type OutgoingMessage, Publisher } from '../publisher.ts'
import { deadQueue, DIRECTIONS, RETRY_DELAYS_MS } from '../topology.ts'
import { sleep } from '../wait.ts'
import type { OpenedLetter } from './box.ts'

/** What a dead letter carries, where it is one of our messages: an event, or outcomes that the ingress could not settle. */
export type Content = { readonly event: SyncEvent } | { readonly outcomesOf: Direction }

/**
 * One that lies among a direction's dead letters is this direction's, or none of ours: the service that puts it there must not be able to
 * have an operator replay what another may send.
 *
 * @throws SyncError SYNC_BAD_MESSAGE: it is none of ours, or of another version; names fields, never values.
 */
export function contentOf({ message, letter: { type, queue } }: OpenedLetter): Content {
  const [first, second] = DIRECTIONS as readonly [Direction, Direction]
  const read = (direction: Direction): Content =>
    type === OUTCOMES_TYPE
      ? { outcomesOf: decodeOutcomes(message, direction, MAX_BYTES).direction }
      : { event: decodeEvent(message, direction, MAX_BYTES) }
  const home = DIRECTIONS.find((direction) => deadQueue(direction) === queue)
  if (home !== undefined) return read(home)
  try {
    return read(first)
  } catch {
    return read(second)
  }
}

/**
 * A dead letter as it was before it failed, on its way to where it belongs: by its body, since the UI's "Move messages" changes the
 * routing key. No header stays but ours: with RabbitMQ's x-death in it, it could vanish as a "cycle".
 *
 * @throws SyncError SYNC_BAD_MESSAGE
 */
export function replayCopy(opened: OpenedLetter, appId: string): OutgoingMessage {
  const { message, letter } = opened
  const content = contentOf(opened)
  if (!('event' in content)) {
    const batch = decodeOutcomes(message, content.outcomesOf, MAX_BYTES)
    return outcomeMessage(batch, appId, letter.messageId ?? letter.id)
  }
  const fresh = eventMessage(content.event, appId)
  const headers: Record<string, unknown> = { ...fresh.options.headers, [HEADER.replays]: letter.replays + 1 }
  // The very bytes that failed.
  return { ...fresh, content: message.content, options: { ...fresh.options, headers } }
}

/** The direction that an event travels in. */
export const directionOf = (content: Content): Direction =>
  'event' in content ? directionFrom(content.event.source) : content.outcomesOf

export interface SenderOptions {
  readonly url: string
  /** Shown in RabbitMQ's list of connections, and as the messages' app-id. */
  readonly name: string
  readonly retryDelaysMs?: readonly number[]
  /** For the connection, and for each publish. Milliseconds; default 15 s and 30 s. */
  readonly connectMs?: number
  readonly publishMs?: number
}

/** Publishes dead letters anew, each with confirm. */
export interface Sender {
  /**
   * Resolves when all are confirmed.
   *
   * @throws PublishError whose `failures` says which are not, of SYNC_BROKER_RIGHTS where the login may not; SyncError SYNC_PUBLISH_REFUSED where RabbitMQ takes nothing now.
   */
  replay(letters: readonly OpenedLetter[]): Promise<void>
  /** Into `sync.discarded`, with who and why. As `replay`. */
  discard(letters: readonly OpenedLetter[], reason: { readonly by: string; readonly why: string }): Promise<void>
  close(): Promise<void>
}

/** RabbitMQ 4 takes 16 MiB by default; what is in a queue was taken. */
const MAX_BYTES = 64 * 1024 * 1024

/** @throws SyncError SYNC_BROKER_DOWN, SYNC_CONFIG */
export async function openSender(options: SenderOptions): Promise<Sender> {
  const { url, name, retryDelaysMs = RETRY_DELAYS_MS, connectMs = 15_000, publishMs = 30_000 } = options
  const label = `${name} publishing`
  const connection = new Connection(url, label, QUIET)
  let ready: () => void = () => undefined
  const up = new Promise<void>((resolve) => {
    ready = resolve
  })
  const publisher = new Publisher({
    connection,
    log: QUIET,
    label,
    topology: new Topology(retryDelaysMs, QUIET),
    onReady: ready,
  })
  connection.start()
  publisher.start()
  const close = async () => {
    await publisher.close(2_000)
    await connection.close()
  }
  if (!(await inTime(up, connectMs))) {
    await close()
    throw new SyncError('SYNC_BROKER_DOWN', `RabbitMQ could not be reached within ${connectMs / 1000} s`)
  }
  /** The channel's end says less than why RabbitMQ has ended it. */
  const blame = (error: unknown): never => {
    const { refusal } = publisher
    if (!(error instanceof PublishError) || refusal === null) throw error
    const { failures } = error
    throw new PublishError(new Map(Array.from(failures.keys(), (index) => [index, refusal])), failures.size)
  }
  const publish = async (messages: readonly OutgoingMessage[]) => {
    if (await inTime(publisher.publish(messages).catch(blame), publishMs)) return
    throw new SyncError(
      'SYNC_PUBLISH_REFUSED',
      `RabbitMQ has confirmed nothing for ${publishMs / 1000} s${connection.blocked ? ': it is out of memory or disk' : ''}`,
    )
  }
  return {
    replay: (letters) => publish(letters.map((letter) => replayCopy(letter, name))),
    discard: (letters, reason) => publish(letters.map(({ message }) => discardedCopy(message, reason))),
    close,
  }
}

/** Whether `work` ends in time. @throws its error */
async function inTime(work: Promise<void>, ms: number): Promise<boolean> {
  const over = new AbortController()
  try {
    return await Promise.race([work.then(() => true), sleep(ms, over.signal).then(() => false)])
  } finally {
    over.abort()
  }
}

/** A command says itself what it has to say. */
const nothing = () => undefined
const QUIET = { debug: nothing, info: nothing, warn: nothing, error: nothing }
