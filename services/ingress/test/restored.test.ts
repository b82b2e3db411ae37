import type { Side } from '@clinic-sync/contracts'
import { type Bookkeeping, type Comparable, Connections } from '@clinic-sync/sync'
import pino from 'pino'
import t from 'tap'
import { RestoreWatch } from '../src/restored.ts'

/** A side whose answers wait until they are let go. */
class FakeSide implements Comparable {
  readonly made = new Connections()
  readonly holds: unknown[] = []
  looks = 0
  lastId = '100'
  failing = false
  answer: Promise<void> = Promise.resolve()

  connections = () => this.made.counts

  async bookkeeping(records: readonly unknown[]): Promise<Bookkeeping> {
    this.looks++
    await this.answer
    if (this.failing) throw new Error('it does not answer')
    return {
      lastId: this.lastId,
      seen: '50',
      held: null,
      latest: [],
      lowestKey: null,
      applied: records.map(() => '0'),
      open: records.map(() => false),
      born: records.map(() => false),
    }
  }

  hold(why: unknown): Promise<void> {
    this.holds.push(why)
    return Promise.resolve()
  }
}

function watched() {
  const sides = { clinic: new FakeSide(), portal: new FakeSide() }
  const found: (readonly Side[])[] = []
  const watch = new RestoreWatch({ sides, log: pino({ level: 'silent' }), onLooked: (each) => found.push(each) })
  return { sides, watch, found }
}

const RESTORED = { code: 'SYNC_RESTORED' }

t.test('a connection made anew: nothing is published before both sides are compared', async (t) => {
  const { sides, watch, found } = watched()
  sides.clinic.made.made()
  await watch.guard('clinic')
  t.same(found, [[]])
  await watch.guard('clinic')
  t.equal(found.length, 1, 'and they are compared once')
  sides.clinic.made.made()
  sides.clinic.lastId = '40'
  await t.rejects(watch.guard('clinic'), RESTORED)
  t.same(sides.clinic.holds, ['restored'])
  await t.rejects(watch.guard('portal'), RESTORED)
})

t.test('the doorbell that connects again: the same', async (t) => {
  const { sides, watch } = watched()
  await watch.guard('clinic')
  sides.portal.lastId = '40'
  await watch.guard('clinic')
  await sides.portal.made.listening(() => Promise.resolve('connected'))
  await t.rejects(watch.guard('clinic'), RESTORED)
})

t.test('a connection beside the one that listens holds nobody up, and is looked behind once', async (t) => {
  const { sides, watch, found } = watched()
  for (const side of [sides.clinic, sides.portal]) await side.made.listening(() => Promise.resolve('connected'))
  await watch.guard('clinic')
  const looks = sides.clinic.looks
  let answer = () => {}
  sides.clinic.answer = new Promise((resolve) => (answer = resolve))
  sides.clinic.lastId = '40'
  sides.clinic.made.made()
  await watch.guard('clinic')
  await watch.guard('portal')
  await new Promise(setImmediate)
  t.equal(sides.clinic.looks, looks + 1, 'it is being asked')
  t.equal(watch.reason, null)
  answer()
  while (found.length === 1) await new Promise(setImmediate)
  t.same(found, [[], ['clinic']])
  await t.rejects(watch.guard('portal'), RESTORED)
})

t.test('a look beside the work that fails is no trouble, and is done again', async (t) => {
  const { sides, watch, found } = watched()
  for (const side of [sides.clinic, sides.portal]) await side.made.listening(() => Promise.resolve('connected'))
  await watch.guard('clinic')
  sides.portal.failing = true
  sides.portal.made.made()
  await watch.guard('clinic')
  const looks = sides.portal.looks
  for (let i = 0; i < 5; i++) await new Promise(setImmediate)
  sides.portal.failing = false
  await watch.guard('clinic')
  for (let i = 0; i < 20; i++) await new Promise(setImmediate)
  t.ok(sides.portal.looks > looks)
  t.same(found, [[], []])
  await watch.guard('clinic')
  t.equal(found.length, 2, 'once is enough')
})

t.test('connections are counted by whether the doorbell has held', async (t) => {
  const connections = new Connections()
  connections.made()
  t.same(connections.counts, { anew: 1, beside: 0 })
  await connections.listening(() => Promise.resolve('connected'))
  connections.made()
  await connections.listening(() => Promise.resolve('changed'))
  t.same(connections.counts, { anew: 2, beside: 1 })
  await t.rejects(connections.listening(() => Promise.reject(new Error('lost'))))
  connections.made()
  t.same(connections.counts, { anew: 3, beside: 1 })
})
