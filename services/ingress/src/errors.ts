import type { FastifyError, FastifyInstance } from 'fastify'
import { STATUS_CODES } from 'node:http'
import { type ErrorCode, SyncError } from '@clinic-sync/sync'
import { describe } from './describe.ts'
import { limitOpen } from './limits.ts'

type SchemaError = NonNullable<FastifyError['validation']>[number]

/** Error answers name fields and limits; they never repeat what was sent. */
export function answerErrors(app: FastifyInstance): void {
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const known = knownFailure(error)
    const statusCode = known?.statusCode ?? error.statusCode ?? 500
    if (known !== null && statusCode >= 500) request.log.warn(describe(error), 'a request could not be answered')
    else if (known === null && statusCode >= 500) request.log.error(describe(error), 'request failed')
    if (statusCode === 401) reply.header('www-authenticate', 'Bearer')
    const { field, problem } = error.validation ? named(error.validation) : {}
    return reply.code(statusCode).send({
      statusCode,
      error: STATUS_CODES[statusCode] ?? 'Error',
      ...(known === null ? {} : { code: known.code }),
      message: known?.message ?? problem ?? (statusCode >= 500 ? 'Unexpected error; see the log.' : error.message),
      ...(field === undefined ? {} : { field }),
    })
  })
  // Before a body is read.
  app.addHook('onRequest', async (request, reply) => {
    if (!request.is404) return
    // What is left of the request need not come: a slow body would hold its connection.
    return (await limitOpen(request, reply)) ?? reply.header('connection', 'close').notFound('No such route.')
  })
  app.setNotFoundHandler((_request, reply) => reply.notFound('No such route.'))
}

/** By our own errors' codes, where a route lets one pass: what is away is no defect. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  SYNC_BROKER_DOWN: 503,
  SYNC_BROKER_UNPREPARED: 503,
  SYNC_BROKER_RIGHTS: 503,
  SYNC_PUBLISH_REFUSED: 503,
  SYNC_UNROUTABLE: 503,
  SYNC_DATABASE_DOWN: 503,
  SYNC_DATABASE: 503,
  SYNC_LOGIN_REFUSED: 503,
  SYNC_NOT_MIGRATED: 503,
  SYNC_NO_LEADER: 503,
  SYNC_STOPPING: 503,
  SYNC_USAGE: 400,
  SYNC_DEAD_LETTERS_BUSY: 409,
  SYNC_NO_SUCH_DEAD_LETTER: 404,
}

/** Their messages carry no values; what to do comes with them. */
function knownFailure(error: unknown): { statusCode: number; code: ErrorCode; message: string } | null {
  if (!(error instanceof SyncError)) return null
  const { code, message, advice } = error
  const statusCode = STATUS[code]
  if (statusCode === undefined) return null
  const said = message.replace(/[.]?$/, '.')
  // That advice is for a command.
  return { statusCode, code, message: statusCode === 400 ? said : `${said} ${advice}` }
}

/** The first field that is wrong, and what it must be; several alternatives for one field are joined with "or". */
function named(errors: readonly SchemaError[]): { field: string; problem: string } {
  const [first] = errors
  const field = fieldOf(first)
  const own = errors.filter((error) => fieldOf(error) === field && error.keyword !== 'anyOf')
  return { field, problem: `${field} ${[...new Set(own.map(problemOf))].join(' or ')}` }
}

function fieldOf(error: SchemaError | undefined): string {
  const path = (error?.instancePath ?? '').split('/').slice(1)
  if (error?.keyword === 'required') path.push(String(error.params['missingProperty']))
  return path.length === 0 ? 'body' : path.join('.')
}

function problemOf({ keyword, message, params }: SchemaError): string {
  if (keyword === 'required') return 'is missing'
  if (keyword === 'enum') return `must be one of: ${(params['allowedValues'] as readonly string[]).join(', ')}`
  if (keyword === 'additionalProperties') return 'has a field that is not known here'
  return message ?? 'is not valid'
}
