import { readFileSync } from 'node:fs'
import { deserialize } from 'node:v8'
import { connect } from 'amqplib'
import type { Recorded } from './payload.ts'
import { publishAll } from './publishing.ts'

/** Publishes the recorded messages each time that it is told to, from a process of its own, as the ingress does. See `publisher.ts`. */
const [url = '', file = ''] = process.argv.slice(2)
const messages = deserialize(readFileSync(file)) as readonly Recorded[]
const model = await connect(url, { noDelay: true })
// Whoever started it is gone.
process.once('disconnect', () => process.exit(0))
process.on('message', async ({ count, window }: { count: number; window: number }) => {
  const channel = await model.createConfirmChannel()
  const since = performance.now()
  await publishAll(channel, messages.slice(0, count), window)
  const ms = performance.now() - since
  await channel.close()
  process.send?.({ ms })
})
process.send?.({ ready: true })
