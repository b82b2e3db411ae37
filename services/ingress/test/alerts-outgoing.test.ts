import type { AlertMessage } from '@clinic-sync/contracts'
import { testReceiver } from '@clinic-sync/dev-services/testing'
import { type AlertEvent, alertMessage, type Subject } from '@clinic-sync/operations'
import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { Outgoing, type OutgoingOptions } from '../src/alerts/outgoing.ts'
import { recordingLog, until } from './help.ts'

const sender = { version: '1.0.0', host: 'clinic-host' }
const message = (condition: Subject['condition'], state: AlertEvent['state'] = 'problem', at = Date.now()) => {
  const finding = { condition, side: null, direction: null, problems: ['Something is wrong.'] }
  return alertMessage({ state, finding, since: at, until: state === 'problem' ? null : at }, sender, randomUUID(), at)
}

async function start(t: Test, options: Partial<OutgoingOptions> = {}) {
  const receiver = await testReceiver<AlertMessage>(t)
  const log = recordingLog()
  const told: string[] = []
  const outgoing = new Outgoing({
    url: receiver.url,
    log: log.log,
    observer: { alerted: (what) => told.push(what) },
    retry: { min: 20, max: 50 },
    ...options,
  })
  t.teardown(() => outgoing.close())
  const said = () => receiver.got.map(({ condition, state }) => `${condition} ${state}`)
  t.teardown(() => {
    if (JSON.stringify(log.lines).includes('SECRET-PATH')) throw new Error('the address is logged')
  })
  return { receiver, outgoing, log, told, said }
}

t.test('messages arrive in order, as JSON, one at a time', async (t) => {
  const { receiver, outgoing, said, told } = await start(t)
  let open = 0
  let most = 0
  receiver.answer = (_, response) => {
    most = Math.max(most, ++open)
    setTimeout(() => {
      open--
      response.end()
    }, 20)
  }
  for (const condition of ['clinic', 'portal', 'rabbitmq'] as const) outgoing.send(message(condition))
  await until('all are there', () => told.length === 3)
  t.strictSame(said(), ['clinic problem', 'portal problem', 'rabbitmq problem'])
  t.strictSame(receiver.types, Array(3).fill('application/json'))
  t.equal(most, 1)
  t.strictSame(outgoing.waiting, [])
})

t.test('a receiver that fails gets it again, with the same id, until it takes it', async (t) => {
  for (const status of [500, 503, 408]) {
    const { receiver, outgoing, told, log } = await start(t)
    receiver.answer = status
    outgoing.send(message('clinic'))
    await until('three attempts', () => receiver.got.length >= 3)
    t.match(outgoing.reason, `ALERT_WEBHOOK_URL: it answered HTTP ${status}.`)
    receiver.answer = 204
    await until('it is taken', () => told.includes('sent'))
    t.equal(outgoing.reason, null)
    t.equal(new Set(receiver.got.map(({ id }) => id)).size, 1)
    t.equal(log.texts(40).length, 1, 'said once, not with each attempt')
  }
})

t.test('429 says when to come again', async (t) => {
  const { receiver, outgoing, told } = await start(t)
  const at: number[] = []
  receiver.answer = (_, response) => {
    at.push(performance.now())
    if (at.length === 1) response.writeHead(429, { 'retry-after': '1' })
    response.end()
  }
  outgoing.send(message('clinic'))
  await until('it is taken', () => told.includes('sent'))
  t.ok((at[1] ?? 0) - (at[0] ?? 0) >= 990)
})

t.test('one that is down, hangs, or hangs up in the middle', async (t) => {
  const { receiver, outgoing, told } = await start(t, { patienceMs: 100 })
  receiver.answer = () => undefined
  outgoing.send(message('clinic'))
  await until('it has hung twice', () => told.filter((each) => each === 'failed').length >= 2)
  t.match(outgoing.reason, /has not answered within 0\.1 s/)
  receiver.answer = (request) => request.socket.destroy()
  await until('it has hung up', () => /cannot be reached \(\w+\)/.test(outgoing.reason ?? ''))
  receiver.answer = (_, response) => void response.writeHead(200).write('a body without an end')
  await until('its word is enough', () => told.includes('sent'))
  const away = await start(t, { url: 'http://127.0.0.1:1/SECRET-PATH' })
  away.outgoing.send(message('clinic'))
  await until('nobody is there', () => /cannot be reached/.test(away.outgoing.reason ?? ''))
})

t.test('a refusal is logged once, and not sent again; a redirect is one', async (t) => {
  const elsewhere = await testReceiver<AlertMessage>(t)
  for (const status of [400, 401, 404, 410, 301, 307]) {
    const { receiver, outgoing, told, log } = await start(t)
    receiver.answer = (_, response) => void response.writeHead(status, { location: elsewhere.url }).end()
    outgoing.send(message('clinic'))
    await until('it is refused', () => told.length === 1)
    t.match(log.texts(50), [new RegExp(`not taken, and is not sent again: it answered HTTP ${status}`)])
    t.match(outgoing.reason, String(status))
    receiver.answer = 200
    outgoing.send(message('portal'))
    await until('the next is taken', () => told.includes('sent'))
    t.equal(receiver.got.length, 2)
    t.equal(outgoing.reason, null)
  }
  t.strictSame(elsewhere.got, [])
})

t.test('what is newer takes the place of what nobody has taken', async (t) => {
  const { receiver, outgoing, told, said } = await start(t)
  receiver.answer = 500
  outgoing.send(message('rabbitmq'))
  await until('it failed', () => told.includes('failed'))
  outgoing.send(message('clinic'))
  outgoing.send(message('portal'))
  outgoing.send(message('clinic', 'recovered'))
  outgoing.send(message('rabbitmq', 'recovered'))
  receiver.got.length = 0
  receiver.answer = 200
  await until('nothing waits', () => outgoing.waiting.length === 0)
  t.strictSame(said().slice(-3), ['portal problem', 'clinic recovered', 'rabbitmq recovered'])
  t.notOk(said().includes('clinic problem'))
  t.ok(told.filter((each) => each === 'replaced').length >= 2)
})

t.test('while one is under way, its successor waits for it, and follows it', async (t) => {
  const { receiver, outgoing, told, said } = await start(t)
  let answer = () => {}
  receiver.answer = (_, response) => (answer = () => response.end())
  outgoing.send(message('clinic'))
  await until('it is under way', () => receiver.got.length === 1)
  outgoing.send(message('clinic', 'recovered'))
  receiver.answer = 200
  answer()
  await until('both', () => told.filter((each) => each === 'sent').length === 2)
  t.strictSame(said(), ['clinic problem', 'clinic recovered'])
})

t.test('what another has now is not tried again, though it was under way', async (t) => {
  const { receiver, outgoing, told, said } = await start(t)
  let answer = () => {}
  receiver.answer = (_, response) => (answer = () => response.writeHead(500).end())
  outgoing.send(message('clinic'))
  outgoing.send(message('rabbitmq'))
  outgoing.send(message('portal'))
  await until('it is under way', () => receiver.got.length === 1)
  outgoing.forget((condition) => condition === 'rabbitmq')
  receiver.answer = 200
  answer()
  await until('nothing waits', () => outgoing.waiting.length === 0)
  await until('what is its own was sent', () => told.includes('sent'))
  t.strictSame(said(), ['clinic problem', 'rabbitmq problem'])
})

t.test('after hours it is given up, and said so', async (t) => {
  const { receiver, outgoing, told, log } = await start(t, { giveUpMs: 100 })
  receiver.answer = 500
  outgoing.send(message('clinic'))
  await until('it is given up', () => told.includes('given-up'))
  t.strictSame(outgoing.waiting, [])
  t.match(log.texts(50), [/given up, after hours/])
})

t.test('at the end, what is left is tried once more, and not for long', async (t) => {
  const { receiver, outgoing, told, said } = await start(t, { retry: { min: 60_000, max: 60_000 } })
  receiver.answer = 500
  outgoing.send(message('clinic'))
  await until('it failed', () => told.includes('failed'))
  outgoing.send(message('portal'))
  receiver.answer = 200
  await outgoing.close()
  t.strictSame(said(), ['clinic problem', 'clinic problem', 'portal problem'])
  outgoing.send(message('rabbitmq'))
  t.strictSame(outgoing.waiting, [])

  const hung = await start(t, { lastMs: 100 })
  hung.receiver.answer = () => undefined
  hung.outgoing.send(message('clinic'))
  hung.outgoing.send(message('portal'))
  await until('it hangs', () => hung.receiver.got.length === 1)
  const began = performance.now()
  await hung.outgoing.close()
  t.ok(performance.now() - began < 2_000)
  t.match(hung.log.texts(40).at(-1), /could not be sent before the end/)
})
