import type { FastifyError, FastifyInstance } from 'fastify'
import { STATUS_CODES } from 'node:http'
import { describe } from './describe.ts'
import { limitOpen } from './limits.ts'

type SchemaError = NonNullable<FastifyError['validation']>[number]

/** Error answers name fields and limits; they never repeat what was sent. */
export function answerErrors(app: FastifyInstance): void {
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const statusCode = error.statusCode ?? 500
    if (statusCode >= 500) request.log.error(describe(error), 'request failed')
    if (statusCode === 401) reply.header('www-authenticate', 'Bearer')
    const { field, problem } = error.validation ? named(error.validation) : {}
    return reply.code(statusCode).send({
      statusCode,
      error: STATUS_CODES[statusCode] ?? 'Error',
      message: problem ?? (statusCode >= 500 ? 'Unexpected error; see the log.' : error.message),
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
