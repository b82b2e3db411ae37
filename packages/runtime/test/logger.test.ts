import { DatabaseError, SyncError } from '@clinic-sync/sync'
import t from 'tap'
import { createLogger } from '../src/index.ts'

const logged = (write: (log: ReturnType<typeof createLogger>) => void): string[] => {
  const lines: string[] = []
  write(createLogger({ name: 'test', level: 'debug' }, { write: (line: string) => void lines.push(line) }))
  return lines
}

t.test('lines are JSON with a name, a level by name and an ISO time', async (t) => {
  const [line] = logged((log) => log.info({ table: 'work', key: 7 }, 'applied'))
  t.match(JSON.parse(line ?? ''), {
    name: 'test',
    level: 'info',
    table: 'work',
    key: 7,
    msg: 'applied',
    time: /^\d{4}-\d\d-\d\dT.*Z$/,
  })
})

t.test('values reach no line, whatever is logged', async (t) => {
  const driver = Object.assign(new Error('Key (name)=(Leila) already exists'), {
    code: '23505',
    detail: 'Failing row contains (Leila)',
    parameters: ['Leila'],
  })
  let quoted: unknown
  try {
    JSON.parse('{"name": Leila}')
  } catch (error) {
    quoted = error
  }
  const lines = logged((log) => {
    log.error({ err: driver }, 'a')
    log.error(driver)
    log.error({ err: driver })
    log.error({ err: new DatabaseError('permanent', 'work/7: 23505', { number: '23505', cause: driver }) }, 'b')
    log.error({ err: quoted }, 'c')
    log.info({ row: { name: 'Leila' }, event: { data: { row: 'Leila' } }, url: 'amqp://u:Leila@h' }, 'd')
  })
  t.equal(lines.length, 6)
  t.notMatch(lines.join(''), /Leila/)
  t.match(JSON.parse(lines[0] ?? ''), { err: { type: 'Error', code: '23505' } })
  t.match(JSON.parse(lines[3] ?? ''), { err: { message: 'work/7: 23505', number: '23505', cause: { code: '23505' } } })
})

t.test('an error of ours brings its code and advice', async (t) => {
  const [line] = logged((log) => log.error({ err: new SyncError('SYNC_NOT_MIGRATED', 'no schema sync') }, 'x'))
  t.match(JSON.parse(line ?? ''), { err: { code: 'SYNC_NOT_MIGRATED', message: 'no schema sync', advice: /migrate/ } })
})
