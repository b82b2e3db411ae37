import { deadQueue, DIRECTIONS } from '@clinic-sync/broker'
import type { Fault } from '../fault.ts'
import { deleteNotes, inPortal, insertNotes, notesLike } from '../ground/crowd.ts'
import type { Ground } from '../ground/ground.ts'
import { comes } from '../ground/patience.ts'

/** The portal's rule that the clinic does not have: see `ground/moods.ts`. */
const POISON = 'poison'
const ARRIVES_MS = 120_000

const deadNow = ({ desk }: Ground) => desk.waiting(DIRECTIONS.map(deadQueue))

/** Makes notes, some of them poisoned; waits until the others are in the portal and these are dead; deletes all in the end. */
const poison = (name: string, about: string, count: number, isPoison: (n: number) => boolean): Fault => ({
  name,
  about,
  lastsMs: [0, 0],
  alone: true,
  async inject(ground) {
    const { canaries, troubles, provoked } = ground
    const mark = `crowd-${name}`
    const before = await deadNow(ground)
    await insertNotes(ground, count, (n) => (isPoison(n) ? `${POISON} ${mark} ${n}` : `${mark} ${n}`))
    const bad = await notesLike(ground, `${POISON} ${mark}`)
    const good = await notesLike(ground, mark)
    for (const key of bad) provoked.add(`aligner_notes/${key}`)
    const flight = await canaries.fly(ARRIVES_MS)
    ground.say(`     ${name}: what else there is passes in ${Math.round(flight['sql-to-postgres'] ?? Number.NaN)} ms`)
    if (flight['sql-to-postgres'] === null) troubles.push('poison stops the rest')
    let dead = 0
    const done = await comes(
      async () => {
        dead = (await deadNow(ground)) - before
        return (await inPortal(ground, good)) === good.length && dead >= bad.length
      },
      ARRIVES_MS,
      300,
    )
    if (!done) {
      const there = await inPortal(ground, good)
      troubles.push(`of ${good.length} good notes ${there} arrived, of ${bad.length} bad ones ${dead} are dead`)
    }
    return () => deleteNotes(ground, [...bad, ...good])
  },
})

const BIG = 20 * 2 ** 20

/** Messages that nobody of us would send, by what is wrong with them. */
function badMessages(
  direction: string,
): readonly { readonly what: string; readonly content: Buffer; readonly headers?: Record<string, unknown> }[] {
  const event = (over: object) =>
    Buffer.from(
      JSON.stringify({
        specversion: '1.0',
        id: 'clinic/aligner_notes/1/1',
        source: direction === 'sql-to-postgres' ? 'clinic' : 'portal',
        type: 'sync.row.deleted.v1',
        subject: 'aligner_notes/1',
        time: '2026-01-31T08:15:30.123Z',
        data: { table: 'aligner_notes', key: 1, version: '1', seen: '0', since: null, base: null, row: null },
        ...over,
      }),
    )
  return [
    { what: 'not-json', content: Buffer.from('{"type": "sync.row') },
    { what: 'empty', content: Buffer.alloc(0) },
    { what: 'bytes', content: Buffer.from([0xff, 0xfe, 0x00, 0xd8]) },
    { what: 'unknown-type', content: event({ type: 'sync.row.renamed.v1' }) },
    { what: 'unknown-version', content: event({ type: 'sync.row.upserted.v9' }) },
    {
      what: 'unknown-table',
      content: event({ data: { table: 'invoices', key: 1, version: '1', seen: '0', row: null } }),
    },
    { what: 'no-data', content: event({ data: null }) },
    { what: 'deep', content: Buffer.from('['.repeat(20_000)) },
    { what: 'big', content: Buffer.alloc(BIG, 'x') },
    {
      what: 'headers',
      content: Buffer.from('x'),
      headers: Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`header-${i}`, 'x'.repeat(100)])),
    },
    {
      what: 'false-headers',
      content: Buffer.from('x'),
      headers: { 'sync-entity-key': 17, 'sync-version': {}, 'sync-attempt': 'many' },
    },
  ]
}

const bad: Fault = {
  name: 'bad-messages',
  about:
    'messages that are not JSON, of an unknown type or version, of 20 MB, with hundreds of headers: dead, and the consumers live',
  lastsMs: [0, 0],
  alone: true,
  async inject(ground, random) {
    const { desk, provoked, troubles } = ground
    const before = await deadNow(ground)
    let sent = 0
    for (const direction of DIRECTIONS) {
      for (const { what, content, headers } of badMessages(direction)) {
        const messageId = `chaos-${direction}-${what}-${random.int(1, 1e9)}`
        provoked.add(messageId)
        sent++
        await desk.use(async (channel) => {
          channel.publish('sync.events', `${direction}.p${random.int(0, 3)}`, content, {
            messageId,
            persistent: true,
            headers,
          })
          await channel.waitForConfirms()
        })
      }
    }
    return async () => {
      let dead = 0
      const done = await comes(
        async () => {
          dead = (await deadNow(ground)) - before
          return dead >= sent
        },
        ARRIVES_MS,
        300,
      )
      if (!done) troubles.push(`of ${sent} bad messages ${dead} are dead`)
    }
  },
}

export const MESSAGE_FAULTS: readonly Fault[] = [
  poison(
    'poison',
    'one note in the middle of 200 that the portal will never take: 199 arrive, one is dead',
    200,
    (n) => n === 100,
  ),
  bad,
  poison(
    'poison-5000',
    '5,000 notes that the portal will never take: they are dead, the rest flows on',
    5_000,
    () => true,
  ),
]
