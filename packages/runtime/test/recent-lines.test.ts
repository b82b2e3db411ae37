import t from 'tap'
import { createLogger, RecentLines } from '../src/index.ts'

t.test('the last lines stay, as they are written; the oldest make room', async (t) => {
  const recent = new RecentLines({ maxLines: 3, maxLength: 1_000 })
  const written: string[] = []
  const log = createLogger({ name: 'test', level: 'info' }, { write: (line) => void written.push(line) }, recent)
  t.equal(recent.text(), '')
  log.debug({}, 'not at this level')
  for (let n = 1; n <= 5; n++) (n % 2 === 0 ? log.child({ n }) : log).info({ row: { name: 'Leila' } }, `line ${n}`)
  t.equal(written.length, 5)
  t.equal(recent.text(), written.slice(2).join(''))
  t.notMatch(recent.text(), /Leila/)
})

t.test('they are bounded in length too, and a line beyond that is left out', async (t) => {
  const recent = new RecentLines({ maxLines: 10, maxLength: 10 })
  for (const line of ['aaaa\n', 'bbbb\n', 'cccc\n']) recent.add(line)
  t.equal(recent.text(), 'bbbb\ncccc\n')
  recent.add(`${'d'.repeat(11)}\n`)
  t.equal(recent.text(), '')
  recent.add('eeee\n')
  t.equal(recent.text(), 'eeee\n')
})
