import { amqpFailure, BROKER_TROUBLE, type FailureRule, SyncError } from '@clinic-sync/sync'

/** Some messages were not confirmed. The code and message are those of the first failure. */
export class PublishError extends SyncError {
  /** Index in what was given to publish → why. Indexes that are not here are confirmed. */
  readonly failures: ReadonlyMap<number, SyncError>
  constructor(failures: ReadonlyMap<number, SyncError>, total: number) {
    const first: SyncError = [...failures.values()][0] ?? new SyncError('SYNC_BROKER_DOWN', 'nothing was published')
    super(first.code, failures.size > 1 ? `${failures.size} of ${total} messages: ${first.message}` : first.message, {
      cause: first.cause,
    })
    this.name = 'PublishError'
    this.failures = failures
  }
}

/** Whether the same publish may succeed later, with nothing to blame in the message. */
export const isBrokerTrouble = (error: unknown): error is SyncError =>
  error instanceof SyncError && BROKER_TROUBLE.has(error.code)

/** RabbitMQ's reply code: amqplib has it as the error's code, and, where the handshake failed, in its words only. */
export function replyCodeOf(error: Error): number | undefined {
  const { code } = error as { code?: unknown }
  if (typeof code === 'number') return code
  const told = /^Handshake terminated by server: (\d{3}) /.exec(error.message)?.[1]
  return told === undefined ? undefined : Number(told)
}

/** What amqplib's error means. */
export const meaningOf = (error: unknown): FailureRule =>
  error instanceof Error ? amqpFailure(replyCodeOf(error), error.message) : amqpFailure(undefined)

/** What amqplib or the socket says, for a log line. Their messages hold names of queues and hosts, no message bodies. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'connection closed'
  if (error instanceof SyncError) return `${error.message}. ${error.advice}`
  const code = (error as { code?: unknown }).code
  // A connection refused on both IPv6 and IPv4 is an AggregateError without a message.
  const text = error.message === '' && code !== undefined ? String(code) : error.message
  const { code: known, words } = meaningOf(error)
  // What amqplib says by itself, or that RabbitMQ stops (320), is no news behind our own words for it.
  if (known === '320' || (known !== '' && !/^\d+$/.test(known))) return words
  return `${text.replaceAll(/amqps?:\/\/\S+/g, '<url>')}${known === '' ? '' : `: ${words}`}`
}

/** RabbitMQ's ACCESS_REFUSED. */
const REFUSED = 403

/** Where RabbitMQ refuses an operation to this login, as one that has the rights of an earlier version: that, by what it names; else null. */
export function rightsLack(error: unknown): SyncError | null {
  if (!(error instanceof Error) || replyCodeOf(error) !== REFUSED) return null
  const [, name] = /(?:queue|exchange|topic) '([^']+)'/.exec(error.message) ?? []
  const what = name === undefined ? 'do this' : `use ${name}`
  return new SyncError('SYNC_BROKER_RIGHTS', `RabbitMQ does not let this login ${what}`, { cause: error })
}

/** An error as fields of a log line. Of errors that are not ours only name, code and place: their messages may quote data. */
export function describe(error: unknown): { error: string; code?: string; reason?: string; at?: string } {
  if (error instanceof SyncError) return { error: error.name, code: error.code, reason: error.message }
  if (!(error instanceof Error)) return { error: typeof error }
  const { code } = error as { code?: unknown }
  const at = error.stack?.split('\n').find((line) => /^\s+at /.test(line))
  return {
    error: error.name,
    ...(typeof code === 'string' && { code }),
    ...(at !== undefined && { at: at.trim() }),
  }
}
