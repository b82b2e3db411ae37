/**
 * The catalogue of what can go wrong, each with what the operator should do. Messages may carry table and column
 * names, keys, SQLSTATEs and limits; never a column's value.
 */
export const ADVICE = {
  SYNC_CONFIG: 'Correct the setting it names; .env.example explains each one.',
  SYNC_USAGE: 'Correct the command; with --help it says what it takes.',
  SYNC_NOT_MIGRATED: 'Run `npm run sync -- migrate`, then start again.',
  SYNC_NO_DOORBELL:
    'Run `npm run sync -- doorbell`, which switches on the one that CLINIC_DOORBELL names, or says what it needs.',
  SYNC_MIGRATION_EDITED: 'Restore the file as it was applied, and put the change into a new file with a higher number.',
  SYNC_MIGRATION_FAILED: 'Correct the cause, then run `npm run sync -- migrate` again: it goes on with this file.',
  SYNC_DATABASE_DOWN:
    'Check that the database runs and can be reached with the configured URL; a service retries by itself.',
  SYNC_LOGIN_REFUSED:
    "Correct user and password in that database's URL (special characters are percent-encoded), and see that it names the right database; a service retries by itself.",
  SYNC_DATABASE:
    'See the SQLSTATE or error number; the failed rows name their reason in the outbox and the dead-letter queue.',
  SYNC_INGRESS:
    'Check that the ingress runs and that INGRESS_URL and SYNC_OPERATOR_TOKEN are those it was started with.',
  SYNC_BROKER_DOWN: 'Check that RabbitMQ runs and can be reached with RABBITMQ_URL; the service reconnects by itself.',
  SYNC_UNROUTABLE:
    'A queue or its binding is missing in RabbitMQ: npm run sync -- migrate broker declares them all; the services go on by themselves.',
  SYNC_BROKER_UNPREPARED:
    'Run npm run sync -- migrate broker, with the RABBITMQ_URL of a login that may declare queues; the services go on by themselves.',
  SYNC_BROKER_RIGHTS:
    "RabbitMQ's rights are those of an earlier version: renew them as docs/operations.md, Upgrade, says; everything else goes on.",
  SYNC_PUBLISH_REFUSED:
    'RabbitMQ refused a message (queue full, or an alarm): see its management UI; the change stays in the outbox.',
  SYNC_NO_LEADER:
    'Of several ingresses one drains, and none answers now: see /readyz and the log of each. They settle it by themselves within 30 s once RabbitMQ can be reached; then ask again.',
  SYNC_STOPPING: 'The service is shutting down: ask again once it runs.',
  SYNC_UNFORESEEN: 'This is a defect of clinic-sync: report it, with the command that showed it.',
  SYNC_BAD_MESSAGE: 'The message is not one of ours or of another version; it is in the dead-letter queue.',
  SYNC_DELIVERY_LIMIT:
    'Find out why the consumer crashed or lost its connection again and again (its log at that time), cure that, then replay the dead letter.',
  SYNC_BAD_VALUE:
    'Correct the value in the portal, which sends the record anew, or let the clinic take it and replay the dead letter.',
  SYNC_RESTORED:
    'Run `npm run sync -- after-restore`: it shows what it found, and repairs it; nothing is sent until then.',
  SYNC_NOT_TAKEN_OVER:
    'Run `npm run sync -- take-over` (docs/moving-over.md): it compares the two sides; nothing is sent until then.',
  SYNC_UNKNOWN_TABLE: 'Somebody wrote a row for another table into the outbox: delete it, and find out who did.',
  SYNC_DISCARDED:
    'Nothing: an operator has given it up, and the row says who and why. A later change of the record sends it anew.',
  SYNC_DEAD_LETTERS_BUSY: 'Wait until it is done, then run the command again.',
  SYNC_NO_SUCH_DEAD_LETTER: 'See `npm run sync -- dead-letters list` for those there are.',
  SYNC_NOT_PORTALS: 'Nothing of this table comes from the portal: find out who sent it, then discard the dead letter.',
} as const
export type ErrorCode = keyof typeof ADVICE

/** Every error that clinic-sync itself raises. The driver's own error is the `cause`. */
export class SyncError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'SyncError'
    this.code = code
  }
  get advice(): string {
    return ADVICE[this.code]
  }
}

/**
 * What a failure means for the work at hand.
 *
 * `transient`: the same work may succeed soon. `parent`: it must wait for another record. `permanent`: it will never
 * succeed as it is. `down`: the database cannot be used at all; nothing in the work is to blame.
 */
export type FailureClass = 'transient' | 'parent' | 'permanent' | 'down'

/** A database refused or failed. `number` is the SQLSTATE (portal) or the error number (clinic). */
export class DatabaseError extends SyncError {
  readonly failure: FailureClass
  readonly number: string | undefined
  constructor(
    failure: FailureClass,
    message: string,
    options: { code?: ErrorCode; number?: string | undefined; cause?: unknown } = {},
  ) {
    super(options.code ?? (failure === 'down' ? 'SYNC_DATABASE_DOWN' : 'SYNC_DATABASE'), message, {
      cause: options.cause,
    })
    this.name = 'DatabaseError'
    this.failure = failure
    this.number = options.number
  }
}
