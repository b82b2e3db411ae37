import type { AlertMessage } from '@clinic-sync/contracts'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

type Answer = number | ((request: IncomingMessage, response: ServerResponse) => void)

/** Somebody who takes alerts, and answers as `answer` says: a status, or whatever. */
export async function startReceiver(t: Test) {
  const got: AlertMessage[] = []
  const types: (string | undefined)[] = []
  const receiver = { got, types, answer: 200 as Answer, url: '' }
  const server = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (part: string) => (text += part))
    request.on('end', () => {
      got.push(JSON.parse(text) as AlertMessage)
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
