/** What the description says of a route beyond its own schema. */
export interface Described {
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

export const failure = (description: string) => ({ description, ...FAILURE })
export const TOO_MANY = failure(
  'This source has sent too many requests without a right secret; header retry-after, in seconds.',
)
export const BROKEN = failure('An unexpected error; the log has it.')
export const HANGS_UP = {
  400: failure('The body is not JSON, or not of this shape.'),
  413: failure('The body is larger than 1 MiB.'),
}
export const WEBHOOK = [{ webhookSecret: [] }, { webhookBearer: [] }] as const
export const OPERATOR = [{ operatorToken: [] }, { operatorHeader: [] }] as const
export const SESSION = [{ pageSession: [] }] as const
/** The operator's routes that the status page uses. */
export const PAGE = [...OPERATOR, ...SESSION]
export const FORBIDDEN = {
  401: failure('No or a wrong secret. Nothing of the body was read.'),
  429: TOO_MANY,
  500: BROKEN,
}
/** What a request with the page's cookie is answered besides. */
export const LOOKS = {
  ...FORBIDDEN,
  401: failure('No or a wrong secret, and no session. Nothing of the body was read.'),
  403: failure("With the status page's session, and not sent by it."),
}
export const ACTS = {
  ...LOOKS,
  415: failure("With the status page's session, and a body that does not say that it is JSON."),
}
export const AWAY = failure('RabbitMQ or a database is away, or refuses it; `code` is one of the catalogue.')
export const YARD = { 409: failure('SYNC_DEAD_LETTERS_BUSY: somebody else has them in hand.'), 503: AWAY }
export const text = (description: string, type: string) => ({
  description,
  content: { [type]: { schema: { type: 'string' } } },
})
export const json = (description: string, properties: object) => ({
  description,
  type: 'object',
  required: Object.keys(properties),
  properties,
})
