import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from './testing.ts'

type Answer = number | ((request: IncomingMessage, response: ServerResponse) => void)

/** Somebody who takes what an outgoing webhook posts, JSON of this shape, and answers as `answer` says: a status, or whatever. */
export async function testReceiver<Body>(t: Test) {
  const got: Body[] = []
  const texts: string[] = []
  const types: (string | undefined)[] = []
  const receiver = { got, texts, types, answer: 200 as Answer, url: '' }
  const server = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (part: string) => (text += part))
    request.on('end', () => {
      texts.push(text)
      got.push(JSON.parse(text) as Body)
      types.push(request.headers['content-type'])
      if (typeof receiver.answer === 'number') response.writeHead(receiver.answer).end('{"ok":true}')
      else receiver.answer(request, response)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/services/T0/SECRET-PATH`
  return receiver
}
