import { createRequire } from 'node:module'
import { Ajv } from 'ajv'
import t from 'tap'
import { deadCopy } from '../src/index.ts'
import { discardedCopy, retryCopy } from '../src/failed.ts'
import { eventMessage, outcomeMessage } from '../src/message.ts'
import type { OutgoingMessage } from '../src/publisher.ts'
import { asyncApiDocument } from './support/asyncapi-document.ts'
import { note } from './support/helpers.ts'

const { is, should } = await asyncApiDocument()
const document = JSON.parse(should) as {
  channels: Record<
    string,
    { address: string; messages: Record<string, object>; bindings: { amqp: { exchange?: { name: string } } } }
  >
  components: {
    messages: Record<
      string,
      { headers?: object; payload: { $ref: string }; bindings?: { amqp: { messageType: string } } }
    >
  }
}
const ajv = new Ajv({ strict: false, allErrors: true })

t.test('docs/asyncapi.json is what schemas and topology say (npm run generate)', async (t) => {
  t.ok(is === should, 'run npm run generate')
})

t.test('it is valid AsyncAPI 3.0, and every reference leads somewhere', async (t) => {
  const schema = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0-without-$id.json') as object
  const valid = new Ajv({ strict: false, validateFormats: false }).compile(schema)
  t.ok(valid(document), JSON.stringify(valid.errors?.slice(0, 3)))
  const references = [...should.matchAll(/"\$ref": "#\/([^"]+)"/g)].map(([, path = '']) => path)
  t.ok(references.length > 50)
  for (const path of new Set(references)) {
    let node: unknown = document
    for (const step of path.split('/').map((each) => each.replaceAll('~1', '/').replaceAll('~0', '~')))
      node = (node as Record<string, unknown> | undefined)?.[step]
    t.ok(node, path)
  }
})

t.test('what is really sent is as it says: where to, headers, and body', async (t) => {
  const sent = eventMessage(note(5, 7), 'ingress')
  const received = { content: sent.content, fields: {}, properties: sent.options } as never
  const failure = { type: 'permanent', code: '22001', message: 'aligner_notes/5: too long' } as const
  const about = { direction: 'sql-to-postgres', failure, queue: 'sync.sql-to-postgres.p1', appId: 'x' } as const
  const retried = retryCopy(received, { ...about, partition: 1, retry: 2 })
  const dead = deadCopy(received, about)
  const lying = { content: dead.content, properties: dead.options } as never
  const outcome = { table: 'aligner_notes', key: 5, version: '7', outcome: 'applied' } as const
  const batch = { direction: 'sql-to-postgres', outcomes: [outcome] } as const
  for (const [name, message] of [
    ['rowUpserted', sent],
    ['rowUpserted', retried],
    ['deadLetter', dead],
    ['discarded', discardedCopy(lying, { by: 'a', why: 'b' })],
    ['outcomes', outcomeMessage({ ...batch, outcomes: [outcome] }, 'x', 'y')],
  ] satisfies [string, OutgoingMessage][]) {
    const described = document.components.messages[name]
    const { exchange, routingKey, options } = message
    const channel = Object.values(document.channels).find(
      ({ address, bindings: { amqp } }) =>
        amqp.exchange?.name === exchange &&
        new RegExp(`^${address.replaceAll('.', '[.]').replaceAll(/\{\w+\}/g, '\\d')}$`).test(routingKey),
    )
    t.ok(channel?.messages[name], `${name} by ${exchange} ${routingKey}`)
    const headers = { additionalProperties: false, ...described?.headers }
    if (described?.headers) t.ok(ajv.validate(headers, options.headers), `${name}: ${ajv.errorsText()}`)
    const payload = { ...described?.payload, components: document.components }
    t.ok(ajv.validate(payload, JSON.parse(message.content.toString())), `${name}: ${ajv.errorsText()}`)
    if (described?.bindings) t.equal(options.type, described.bindings.amqp.messageType)
  }
})
