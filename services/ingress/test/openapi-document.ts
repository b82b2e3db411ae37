import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import { app, options } from '../src/app.ts'
import { KnownState } from '../src/known-state.ts'

const DOCUMENT = new URL('../../../docs/openapi.json', import.meta.url)

/** The ingress with nothing behind it, for what it says of itself. `registered`: each method and path, those of HEAD and 405 aside. */
export async function describedApp() {
  const nobody = async () => {
    throw new Error('nothing is behind this')
  }
  const fastify = Fastify(options)
  const registered: string[] = []
  fastify.addHook('onRoute', ({ method, url }) => {
    if (typeof method === 'string' && method !== 'HEAD') registered.push(`${method} ${url}`)
  })
  await fastify.register(app, {
    drains: { clinic: { request: nobody }, portal: { request: nobody } },
    bells: { rang: () => undefined, refused: () => undefined },
    testDoorbell: nobody,
    state: new KnownState(),
    board: { read: nobody, watch: nobody as never },
    history: { read: nobody as never, listen: () => () => undefined },
    verifying: { start: () => null, kept: () => undefined, stop: async () => undefined },
    page: {
      databases: {
        clinic: { rulings: nobody, ruledValues: nobody },
        portal: { rulings: nobody, ruledValues: nobody },
      },
      versions: { read: nobody },
      records: {} as never,
      deadLetters: { list: nobody, explain: nobody, rehearse: nobody, replay: nobody, discard: nobody },
    },
    webhookSecret: 'nobody-knows-this-one',
    webhookKeys: [],
    operatorToken: 'nobody-knows-this-one',
    recent: { text: () => '' },
    metrics: { contentType: 'text/plain', text: async () => '' } as never,
  })
  await fastify.ready()
  return { fastify, registered }
}

/** docs/openapi.json as it is, and as the routes' schemas say. */
export async function openApiDocument(): Promise<{ is: string; should: string }> {
  const { fastify } = await describedApp()
  const { body } = await fastify.inject('/api/sync/openapi.json')
  await fastify.close()
  const is = await readFile(DOCUMENT, 'utf8').catch(() => '')
  return { is, should: `${JSON.stringify(JSON.parse(body), null, 2)}\n` }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(DOCUMENT, (await openApiDocument()).should)
  console.log('docs/openapi.json')
}
