import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { byWayOf, openProxy, placeOf } from '../src/proxy.ts'

/** A server that sends back what it gets. */
async function echo(t: Test): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

function client(t: Test, port: number) {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  return socket
}

async function said(socket: Socket, text: string): Promise<string> {
  socket.write(text)
  const [data] = await once(socket, 'data')
  return String(data)
}

/** A reset is an error first; `once` would throw it. */
function closed(socket: Socket): Promise<unknown> {
  socket.on('error', () => undefined)
  return new Promise((resolve) => socket.once('close', resolve))
}

t.test('everything passes, until it is cut', async (t) => {
  const proxy = await openProxy('127.0.0.1', await echo(t))
  t.teardown(() => proxy.close())
  const [one, two] = [client(t, proxy.port), client(t, proxy.port)]
  t.equal(await said(one, 'one'), 'one')
  t.equal(await said(two, 'two'), 'two')
  t.equal(proxy.count(), 2)

  const ended = closed(one)
  proxy.cut(0)
  await ended
  t.equal(await said(two, 'still there'), 'still there')
  const endedToo = closed(two)
  proxy.cut('all')
  await endedToo
  t.equal(proxy.count(), 0)
  t.equal(await said(client(t, proxy.port), 'again'), 'again', 'new connections are accepted')
})

t.test('what is stalled arrives later, and whole', async (t) => {
  const proxy = await openProxy('127.0.0.1', await echo(t))
  t.teardown(() => proxy.close())
  const socket = client(t, proxy.port)
  t.equal(await said(socket, 'first'), 'first')
  proxy.stall()
  let heard = ''
  socket.on('data', (data) => {
    heard += String(data)
  })
  socket.write('second')
  // The echo would be back by the time that another connection's is.
  const other = client(t, await echo(t))
  await said(other, 'meanwhile')
  t.equal(heard, '')
  proxy.resume()
  while (heard.length < 'second'.length) await once(socket, 'data')
  t.equal(heard, 'second')
})

t.test('what is sent vanishes, and nobody is told', async (t) => {
  const proxy = await openProxy('127.0.0.1', await echo(t))
  t.teardown(() => proxy.close())
  const [old, quiet] = [client(t, proxy.port), client(t, proxy.port)]
  t.equal(await said(old, 'first'), 'first')
  t.equal(await said(quiet, 'first'), 'first')
  proxy.vanish()
  const young = client(t, proxy.port)
  await once(young, 'connect')
  let heard = ''
  for (const socket of [old, young]) {
    socket.on('data', (data) => {
      heard += String(data)
    })
    for (const event of ['end', 'close', 'error']) socket.on(event, () => (heard += event))
    socket.write('second')
  }
  // The echo would be back by the time that another connection's is.
  const other = client(t, await echo(t))
  await said(other, 'meanwhile')
  t.equal(heard, '')
  t.equal(proxy.count(), 3)

  proxy.resume()
  t.equal(await said(quiet, 'still there'), 'still there', 'one that has lost nothing goes on')
  t.equal(await said(client(t, proxy.port), 'again'), 'again', 'new connections are as ever')
  old.write('third')
  young.write('third')
  await said(quiet, 'and meanwhile')
  t.equal(heard, '', 'one that has lost something stays silent')
  old.destroy()
  young.destroy()
  while (proxy.count() > 2) await new Promise((resolve) => setImmediate(resolve))
})

t.test('an end that vanishes is told to the server once the way is there again', async (t) => {
  const seen: string[] = []
  const server = createServer((socket) => {
    seen.push('open')
    socket.on('error', () => undefined)
    socket.on('data', () => socket.write('yes'))
    socket.on('close', () => server.emit('closed', seen.push('closed')))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  const proxy = await openProxy('127.0.0.1', typeof address === 'object' && address !== null ? address.port : 0)
  t.teardown(() => proxy.close())
  const socket = client(t, proxy.port)
  await said(socket, 'hello')
  proxy.vanish()
  const reset = closed(socket)
  socket.end()
  while (proxy.count() > 0) await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(seen, ['open'])
  const closing = once(server, 'closed')
  proxy.resume()
  await Promise.all([closing, reset])
  t.strictSame(seen, ['open', 'closed'])
})

t.test('what is late comes in order, and whole', async (t) => {
  const proxy = await openProxy('127.0.0.1', await echo(t))
  t.teardown(() => proxy.close())
  const socket = client(t, proxy.port)
  await said(socket, 'first')
  proxy.delay(60)
  const since = performance.now()
  let heard = ''
  const ended = new Promise((resolve) => {
    socket.on('data', (data) => {
      heard += String(data)
    })
    socket.on('end', resolve)
  })
  const big = 'abcdefghij'.repeat(100_000)
  socket.write(big)
  socket.end('the end')
  await ended
  t.ok(performance.now() - since >= 119, 'late both ways')
  t.equal(heard, `${big}the end`)
  proxy.resume()
})

t.test('a server that is gone ends its connections', async (t) => {
  const port = await echo(t)
  const proxy = await openProxy('127.0.0.1', port)
  await proxy.close()
  const socket = client(t, proxy.port)
  const [error] = await once(socket, 'error')
  t.equal(error.code, 'ECONNREFUSED')
})

t.test('an address leads by way of the proxy, where its server may have another name', async (t) => {
  const address = 'postgres://user:p%40ss@db.example:6432/portal?sslmode=require'
  t.strictSame(placeOf(address), { host: 'db.example', port: 6432 })
  t.equal(byWayOf(address, 5000), 'postgres://user:p%40ss@127.0.0.1:5000/portal?sslmode=require')
  t.strictSame(placeOf('mssql://sa:x@[::1]/clinic?encrypt=false'), { host: '::1', port: 1433 })
  t.equal(placeOf('mssql://sa:x@db.example/clinic'), null, 'its certificate is looked at')
  t.equal(placeOf('mssql://sa:x@db.example/clinic?encrypt=false&instanceName=a'), null, 'no port is known')
  t.equal(placeOf('amqps://a:b@mq.example/v'), null, 'its certificate is looked at')
  t.equal(placeOf('postgres://a:b@db.example/x?sslmode=verify-full'), null, 'its certificate is looked at')
})
