import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { ROUTES } from '../src/openapi/routes.ts'
import { start } from './http.ts'
import { describedApp, openApiDocument } from './openapi-document.ts'

type Document = Record<string, Record<string, Record<string, { responses: object; security?: object[] }>>>
const { is, should } = await openApiDocument()
const document = JSON.parse(should) as Document
const { paths = {} } = document

t.test('docs/openapi.json is what the ingress serves (npm run generate)', async (t) => {
  t.ok(is === should, 'run npm run generate')
})

t.test('it is valid OpenAPI 3.1', async (t) => {
  const validator = new Validator()
  t.match(await validator.validate(structuredClone(document)), { valid: true })
  t.equal(validator.version, '3.1')
  t.doesNotThrow(() => validator.resolveRefs(), 'every reference leads somewhere')
})

t.test('every route is described, and no other', async (t) => {
  const { fastify, registered } = await describedApp()
  await fastify.close()
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const asTemplates = (routes: readonly string[]) => new Set(routes.map((route) => route.replaceAll(/:(\w+)/g, '{$1}')))
  t.strictSame(new Set(described), asTemplates(registered))
  t.strictSame(new Set(described), asTemplates(Object.keys(ROUTES)))
})

t.test('what it says of secrets is so, and each answer to none is described', async (t) => {
  const { send } = await start(t, {}, [], {
    page: { deadLetters: {} as never, databases: {} as never, versions: {} as never, records: {} as never },
    history: {} as never,
    board: { read: () => Promise.reject(new Error()), watch: () => undefined as never },
    verifying: { start: () => null, kept: () => undefined, stop: async () => undefined },
  })
  for (const [path, methods] of Object.entries(paths))
    for (const [method, { responses, security }] of Object.entries(methods)) {
      if (path === '/metrics') continue
      const { status, body } = await send(path, { method: method.toUpperCase() as 'GET' })
      const signsIn = path.endsWith('/session') && method === 'post'
      t.equal(status, security !== undefined ? 401 : signsIn ? 403 : 200, `${method} ${path}`)
      t.ok(String(status) in responses, `${status} of ${method} ${path} is described`)
      if (path.endsWith('openapi.json')) t.match(body, { openapi: '3.1.0' })
    }
})
