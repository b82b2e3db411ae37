/** What the description says of a route beyond its own schema. */
interface Described {
  readonly operationId: string
  readonly tags: readonly ['doorbells' | 'operator' | 'page' | 'open']
  readonly summary: string
  readonly description?: string
  /** No body at all will do. */
  readonly bodyless?: true
  /** Any one of these. */
  readonly security?: readonly Readonly<Record<string, readonly never[]>>[]
  /** Every status that it answers, with what is not in the route's own schema. */
  readonly answers: Readonly<Record<number, object>>
}

/** What every refusal is answered with. */
export const Failure = {
  type: 'object' as const,
  required: ['statusCode', 'error', 'message'],
  properties: {
    statusCode: { type: 'integer' as const },
    error: { type: 'string' as const },
    message: { type: 'string' as const, description: 'One sentence. Names fields and limits, never what was sent.' },
    field: { type: 'string' as const, description: 'The first field that is wrong.' },
    code: { type: 'string' as const, description: 'Of the catalogue of errors, where it is one of ours.' },
  },
}
const FAILURE = { title: 'Failure' }
/** Whether a schema of the description is to be a reference to `Failure`. */
export const isFailure = (schema: unknown): boolean =>
  typeof schema === 'object' && schema !== null && 'title' in schema && schema.title === FAILURE.title

const failure = (description: string) => ({ description, ...FAILURE })
const TOO_MANY = failure(
  'This source has sent too many requests without a right secret; header retry-after, in seconds.',
)
const BROKEN = failure('An unexpected error; the log has it.')
const HANGS_UP = {
  400: failure('The body is not JSON, or not of this shape.'),
  413: failure('The body is larger than 1 MiB.'),
}
const WEBHOOK = [{ webhookSecret: [] }, { webhookBearer: [] }] as const
const OPERATOR = [{ operatorToken: [] }, { operatorHeader: [] }] as const
const SESSION = [{ pageSession: [] }] as const
/** The operator's routes that the status page uses. */
const PAGE = [...OPERATOR, ...SESSION]
const FORBIDDEN = { 401: failure('No or a wrong secret. Nothing of the body was read.'), 429: TOO_MANY, 500: BROKEN }
/** What a request with the page's cookie is answered besides. */
const LOOKS = {
  ...FORBIDDEN,
  401: failure('No or a wrong secret, and no session. Nothing of the body was read.'),
  403: failure("With the status page's session, and not sent by it."),
}
const ACTS = { ...LOOKS, 415: failure("With the status page's session, and a body that does not say that it is JSON.") }
const AWAY = failure('RabbitMQ or a database is away, or refuses it; `code` is one of the catalogue.')
const YARD = { 409: failure('SYNC_DEAD_LETTERS_BUSY: somebody else has them in hand.'), 503: AWAY }
const text = (description: string, type: string) => ({
  description,
  content: { [type]: { schema: { type: 'string' } } },
})
const json = (description: string, properties: object) => ({
  description,
  type: 'object',
  required: Object.keys(properties),
  properties,
})

/** The routes, by method and path. A test holds this against what is registered. */
export const ROUTES: Readonly<Record<string, Described>> = {
  'POST /api/sync/queue-notify': {
    operationId: 'queueNotify',
    bodyless: true,
    tags: ['doorbells'],
    summary: 'Something changed in the clinic',
    description: 'Called by SQL Server. The body is ignored; none will do.',
    security: WEBHOOK,
    answers: { 202: { description: "Heard. The clinic's outbox will be drained." }, ...HANGS_UP, ...FORBIDDEN },
  },
  'POST /api/sync/webhook': {
    operationId: 'webhook',
    tags: ['doorbells'],
    summary: 'Something changed in the portal',
    description:
      'A database webhook of Supabase, or of our own trigger. Its shape and its table are checked, so that one which is set up wrongly gets a clear answer; the records are never used. One that carries the right secret and is larger than 1 MiB gets 413, and is heard all the same.',
    security: [...WEBHOOK, { webhookSignature: [] }],
    answers: {
      202: { description: "Heard. The portal's outbox will be drained." },
      ...HANGS_UP,
      ...FORBIDDEN,
      401: failure('No or a wrong secret, and no right signature.'),
      409: failure('A signed request with this webhook-id was accepted before.'),
      422: failure('Webhooks do not belong on this table: it does not sync back.'),
    },
  },
  'POST /api/sync/trigger': {
    operationId: 'trigger',
    bodyless: true,
    tags: ['operator'],
    summary: 'Drain now',
    description: 'Waits for the drains that start after the call. No body, or no direction, means both.',
    security: PAGE,
    answers: {
      200: { description: 'What was published, in each direction that was asked for.' },
      ...HANGS_UP,
      ...ACTS,
      503: { description: 'At least one direction failed; the other was drained all the same.' },
    },
  },
  'POST /api/sync/doorbells/test': {
    operationId: 'testDoorbells',
    bodyless: true,
    tags: ['operator'],
    summary: 'Is each doorbell heard?',
    description: 'Asks the databases to ring, and answers when they were heard, or after 5 s. Changes nothing.',
    security: PAGE,
    answers: { 200: { description: 'What became of the rings.' }, ...HANGS_UP, ...ACTS },
  },
  'POST /api/sync/alerts/test': {
    operationId: 'testAlerts',
    bodyless: true,
    tags: ['operator'],
    summary: 'Do alerts arrive?',
    description: 'Sends a test message to ALERT_WEBHOOK_URL, once, and answers within 10 s. Changes nothing.',
    security: PAGE,
    answers: {
      200: { description: 'What became of it: also where it was not taken, or no address is set.' },
      ...HANGS_UP,
      ...ACTS,
    },
  },
  'GET /api/sync/status': {
    operationId: 'status',
    tags: ['operator'],
    summary: 'How the sync does',
    description: "Names, keys and figures, no value of a patient's. A part that cannot be asked says so by itself.",
    security: PAGE,
    answers: { 200: { description: 'Also where something is wrong: `ok` is false then.' }, ...LOOKS },
  },
  'GET /api/sync/status/stream': {
    operationId: 'statusStream',
    tags: ['operator'],
    summary: 'How the sync does, as it changes',
    description:
      'Server-sent events: `event: status` with the JSON of GET /api/sync/status, `event: minute` with a row of GET /api/sync/history when a minute with changes has ended, and a comment every 15 s.',
    security: PAGE,
    answers: { 200: text('A stream without an end.', 'text/event-stream'), ...LOOKS },
  },
  'GET /': {
    operationId: 'page',
    tags: ['page'],
    summary: 'The status page',
    description: 'Without data: what it shows it asks for, once somebody has signed in. Its files are below /page/.',
    answers: { 200: text('The page.', 'text/html'), 429: TOO_MANY, 500: BROKEN },
  },
  'POST /api/sync/verifications': {
    operationId: 'verify',
    bodyless: true,
    tags: ['operator'],
    summary: 'Compare both databases',
    description:
      'Every synced row and column, while people work; the databases are read in pages. How far it is, and what came of it, is in the status. With `kept` nothing is compared: a command has kept a result, and the status is to have it.',
    security: PAGE,
    answers: {
      202: { description: 'It has begun.' },
      204: { description: 'The result that was kept last is read again.' },
      409: failure('One runs already.'),
      ...HANGS_UP,
      ...ACTS,
    },
  },
  'POST /api/sync/session': {
    operationId: 'signIn',
    tags: ['page'],
    summary: 'Sign in to the status page',
    description:
      "With SYNC_OPERATOR_TOKEN, by the page itself: see the cookie's description. The cookie holds for 12 hours; another token ends it.",
    answers: {
      204: { description: 'Signed in; header set-cookie.' },
      400: failure('No token in it.'),
      413: failure('The body is larger than 4 kB.'),
      ...ACTS,
      401: failure('That is not the token.'),
      403: failure('Not sent by the status page.'),
      415: failure('A body that does not say that it is JSON.'),
    },
  },
  'GET /api/sync/session': {
    operationId: 'session',
    tags: ['page'],
    summary: 'Is somebody signed in, and until when?',
    security: SESSION,
    answers: { 200: { description: 'Until then.' }, ...LOOKS, 401: failure('Nobody is, or not any more.') },
  },
  'DELETE /api/sync/session': {
    operationId: 'signOut',
    bodyless: true,
    tags: ['page'],
    summary: 'Sign out',
    description:
      'The browser forgets the cookie. A copy of it, elsewhere, holds until its end, or until the token is another.',
    security: SESSION,
    answers: { 204: { description: 'Signed out.' }, ...HANGS_UP, ...ACTS },
  },
  'GET /api/sync/logs': {
    operationId: 'logs',
    tags: ['operator'],
    summary: 'The last lines of its log',
    description:
      'A JSON object a line, at most 1,000 of them: what standard output got, which holds no value of a patient.',
    security: OPERATOR,
    answers: { 200: text('The oldest first.', 'application/x-ndjson'), ...FORBIDDEN },
  },
  'GET /api/sync/history': {
    operationId: 'history',
    tags: ['page'],
    summary: 'What has arrived, by the minute',
    description:
      'Of the last 24 hours at most, in the memory of this ingress; only minutes with changes. No database is asked.',
    security: PAGE,
    answers: {
      200: { description: 'The oldest first; the last may be running.' },
      ...LOOKS,
      400: failure('hours is 1 to 24.'),
    },
  },
  'GET /api/sync/dead-letters': {
    operationId: 'deadLetters',
    tags: ['page'],
    summary: 'What could not be applied',
    description: 'As `dead-letters list --json` prints it. Takes all letters in hand for a moment.',
    security: PAGE,
    answers: { 200: { description: 'A thousand at most.' }, ...LOOKS, ...YARD },
  },
  'POST /api/sync/dead-letters/explain': {
    operationId: 'explainDeadLetters',
    tags: ['page'],
    summary: 'What happened to these, and what to do',
    security: PAGE,
    answers: { 200: { description: 'In words; no value.' }, ...HANGS_UP, ...ACTS, ...YARD },
  },
  'POST /api/sync/dead-letters/rehearse': {
    operationId: 'rehearseDeadLetters',
    tags: ['page'],
    summary: 'Would these go through now?',
    description: 'Each is applied to its target in a transaction that is rolled back.',
    security: PAGE,
    answers: { 200: { description: 'Columns by name; no value.' }, ...HANGS_UP, ...ACTS, ...YARD },
  },
  'POST /api/sync/dead-letters/replay': {
    operationId: 'replayDeadLetters',
    tags: ['page'],
    summary: 'Send these again',
    description:
      '1, 2, 5, 10 … at a time, parents first, until one fails again. A caller that hangs up ends it between two steps: what was not sent lies where before.',
    security: PAGE,
    answers: { 200: { description: 'How far it came.' }, ...HANGS_UP, ...ACTS, ...YARD },
  },
  'POST /api/sync/dead-letters/discard': {
    operationId: 'discardDeadLetters',
    tags: ['page'],
    summary: 'Give these up',
    description: 'They are kept in sync.discarded for 49 days; the outbox says who and why.',
    security: PAGE,
    answers: { 200: { description: 'How many, and which are gone already.' }, ...HANGS_UP, ...ACTS, ...YARD },
  },
  'GET /api/sync/conflicts': {
    operationId: 'conflicts',
    tags: ['page'],
    summary: 'Where the two sides did not agree',
    description:
      'Rulings of the clinic and lost edits of the portal, the newest first, without values. `next` is the `before` of the older ones.',
    security: PAGE,
    answers: {
      200: { description: 'Of the sides that could be asked; `unasked` names the other.' },
      ...LOOKS,
      400: failure('max is 1 to 200; before is `next` of another answer.'),
    },
  },
  'GET /api/sync/conflicts/:side/:id/values': {
    operationId: 'conflictValues',
    tags: ['page'],
    summary: 'Both values of one ruling',
    description: "Patients' data, for who asks for it; the log says that somebody did.",
    security: PAGE,
    answers: {
      200: { description: 'Column by column.' },
      ...LOOKS,
      400: failure('No id of a ruling.'),
      404: failure('It is not on record any more.'),
      503: AWAY,
    },
  },
  'GET /api/sync/records/:table/:key': {
    operationId: 'record',
    tags: ['page'],
    summary: "One record's story",
    description:
      "As `explain` tells it: equal or not, what is on its way, what failed, what happens next, what to do. Whoever cannot be asked is in `unasked`. Patients' data only with values=true; then the log says that somebody has looked.",
    security: PAGE,
    answers: {
      200: { description: 'Also where there is no such record: its verdict says so.' },
      ...LOOKS,
      400: failure('No such table, or no such key.'),
    },
  },
  'GET /api/sync/versions': {
    operationId: 'versions',
    tags: ['page'],
    summary: 'What runs here, and beside it',
    description: 'The databases are asked at most once in ten minutes. Null: not known now.',
    security: PAGE,
    answers: { 200: { description: 'Versions, and the last migration of each side.' }, ...LOOKS },
  },
  'GET /metrics': {
    operationId: 'metrics',
    tags: ['operator'],
    summary: 'For Prometheus',
    security: OPERATOR,
    answers: { 200: text('See docs/metrics.md.', 'text/plain'), ...FORBIDDEN },
  },
  'GET /healthz': {
    operationId: 'healthz',
    tags: ['open'],
    summary: 'The process lives',
    answers: { 200: json('It does.', { status: { const: 'ok' } }), 429: TOO_MANY },
  },
  'GET /readyz': {
    operationId: 'readyz',
    tags: ['open'],
    summary: 'What it needs was there when last used',
    description: 'Asks neither the databases nor RabbitMQ.',
    answers: {
      200: { description: 'All of it.' },
      429: TOO_MANY,
      503: { description: '`checks` names what was not, and why.' },
    },
  },
  'GET /api/sync/openapi.json': {
    operationId: 'openapi',
    tags: ['open'],
    summary: 'This description',
    answers: { 200: json('OpenAPI 3.1.', { openapi: { type: 'string' } }), 429: TOO_MANY },
  },
}
